/**
 * The chat format of Qwen2.5-VL as a Jinja template, for checkpoints that come without one.
 *
 *   <|im_start|>system\nYou are a helpful assistant.<|im_end|>\n      unless the first message is a system message
 *   <|im_start|>{role}\n{content}<|im_end|>\n                         for each message
 *   <|im_start|>assistant\n                                           with add_generation_prompt
 *
 * An image in the content becomes one `<|image_pad|>` between vision marks, a video one `<|video_pad|>`; the processor widens
 * it to the number of visual tokens. With add_vision_id they are numbered through the conversation: `Picture 1: `, `Video 1: `.
 *
 * Source: the format description in the Qwen2.5-VL report (arXiv 2502.13923) and the checkpoints' behaviour.
 */
export const DEFAULT_CHAT_TEMPLATE: string = [
  '{%- set seen = namespace(images=0, videos=0) -%}',
  "{%- if messages and messages[0].role != 'system' -%}",
  "{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}",
  '{%- endif -%}',
  '{%- for message in messages -%}',
  "{{- '<|im_start|>' ~ message.role ~ '\\n' -}}",
  '{%- if message.content is string -%}',
  '{{- message.content -}}',
  '{%- else -%}',
  '{%- for part in message.content -%}',
  "{%- if part.type == 'image' or 'image' in part or 'image_url' in part -%}",
  '{%- set seen.images = seen.images + 1 -%}',
  "{%- if add_vision_id -%}{{- 'Picture ' ~ seen.images ~ ': ' -}}{%- endif -%}",
  "{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}",
  "{%- elif part.type == 'video' or 'video' in part -%}",
  '{%- set seen.videos = seen.videos + 1 -%}',
  "{%- if add_vision_id -%}{{- 'Video ' ~ seen.videos ~ ': ' -}}{%- endif -%}",
  "{{- '<|vision_start|><|video_pad|><|vision_end|>' -}}",
  "{%- elif 'text' in part -%}",
  '{{- part.text -}}',
  '{%- endif -%}',
  '{%- endfor -%}',
  '{%- endif -%}',
  "{{- '<|im_end|>\\n' -}}",
  '{%- endfor -%}',
  "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}",
].join('\n');
