/**
 * The 22 tokens that Qwen2.5 adds after its BPE vocabulary, in the order of their ids.
 *
 * "Special" tokens are left out of decoded text when asked; the others (tool calls, code infilling) stay.
 */

export const QWEN2_5_ADDED_TOKENS: readonly { readonly content: string; readonly special: boolean }[] = [
  ...[
    '<|endoftext|>',
    '<|im_start|>',
    '<|im_end|>',
    '<|object_ref_start|>',
    '<|object_ref_end|>',
    '<|box_start|>',
    '<|box_end|>',
    '<|quad_start|>',
    '<|quad_end|>',
    '<|vision_start|>',
    '<|vision_end|>',
    '<|vision_pad|>',
    '<|image_pad|>',
    '<|video_pad|>',
  ].map((content) => ({ content, special: true })),
  ...[
    '<tool_call>',
    '</tool_call>',
    '<|fim_prefix|>',
    '<|fim_middle|>',
    '<|fim_suffix|>',
    '<|fim_pad|>',
    '<|repo_name|>',
    '<|file_sep|>',
  ].map((content) => ({ content, special: false })),
];

/** Names that the chat format and the processor use. */
export const IMAGE_TOKEN = '<|image_pad|>';
export const VIDEO_TOKEN = '<|video_pad|>';
export const VISION_START_TOKEN = '<|vision_start|>';
export const VISION_END_TOKEN = '<|vision_end|>';
export const MESSAGE_START_TOKEN = '<|im_start|>';
export const MESSAGE_END_TOKEN = '<|im_end|>';
export const END_OF_TEXT_TOKEN = '<|endoftext|>';
