/** The texts that quantised models are measured on: several languages, code, JSON, numbers. Changing one changes every report. */
export const evaluationTexts: Readonly<Record<string, string>> = {
  english: `The lighthouse keeper wrote one line a day, and most of those lines were about the weather. In the spring the wind came from
the west and smelled of kelp; in the autumn it turned and brought the sound of the ferry across the bay. He counted the ships that
passed, three on a slow day and eleven on a busy one, and once a week he rowed to the village to buy bread, lamp oil and stamps.`,
  german: `Der Zug nach Leipzig fährt heute von Gleis sieben und kommt etwa zwölf Minuten später an als geplant. Reisende mit Fahrrädern
werden gebeten, im letzten Wagen einzusteigen, weil die vorderen Türen am nächsten Bahnhof geschlossen bleiben. Im Speisewagen gibt
es Suppe, belegte Brote und warmen Tee, solange der Vorrat reicht.`,
  french: `Ma grand-mère gardait ses recettes dans une boîte en fer, classées par saison plutôt que par ordre alphabétique. Pour la soupe
aux poireaux, il fallait deux pommes de terre, un peu de crème et beaucoup de patience. Elle disait toujours que la cuillère en bois
savait mieux que la montre quand c'était prêt.`,
  chinese: `图书馆在河的北岸，早上九点开门，晚上六点关门。二楼有一间安静的阅览室，窗户朝南，冬天也很暖和。借书的时候要出示证件，每次最多可以借五本，
两个星期以后归还。如果下雨，门口有公用的雨伞，用完请放回原处。`,
  russian: `В мастерской пахло деревом и клеем. На верстаке лежали рубанок, две стамески и наполовину готовая скрипка. Мастер не торопился:
он говорил, что хороший звук появляется только тогда, когда дерево успевает высохнуть, а человек успевает подумать.`,
  code: `/** The longest run of equal neighbours in a list: where it starts and how long it is. */
export function longestRun<T>(values: readonly T[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let i = 1; i <= values.length; i++) {
    if (i < values.length && values[i] === values[start]) continue;
    if (i - start > best.length) best = { start, length: i - start };
    start = i;
  }
  return best;
}`,
  json: `{
  "station": "north pier",
  "readings": [
    { "time": "06:00", "temperature": 8.4, "wind": { "speed": 5.1, "from": "west" }, "rain": false },
    { "time": "09:00", "temperature": 10.9, "wind": { "speed": 7.6, "from": "south-west" }, "rain": true },
    { "time": "12:00", "temperature": 12.2, "wind": { "speed": 9.3, "from": "south-west" }, "rain": true }
  ],
  "next": null
}`,
  arithmetic: `A baker makes 48 rolls on Monday and 36 on Tuesday. He sells 3/4 of all of them and gives half of the rest away.
Together he made 48 + 36 = 84 rolls. He sold 84 * 3 / 4 = 63, so 84 - 63 = 21 were left. Half of 21 is 10.5, so he gave
away 10 and kept 11. The next week he made 7 * 12 = 84 again, but sold only 60, which is 60 / 84 = 71.4 percent.`,
};
