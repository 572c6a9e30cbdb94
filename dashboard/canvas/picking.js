// What is selected in a map, between the page and the user. The page says what is selected, and hears of what the user
// selects; its echo must not undo what the user has done since.

const REPORT_AFTER = 150 // ms without another key before the page is told

export class Picker {
  // report: told of {of, layer, channel}, or {of} for nothing; later, never: as setTimeout and clearTimeout, which a
  // browser lets nobody call as methods of something else
  constructor(later = (act, wait) => setTimeout(act, wait), never = (timer) => clearTimeout(timer)) {
    Object.assign(this, { later, never, report: () => {}, cell: null, given: null, timer: null })
  }

  // Take over what the page says is selected in the thing called `of`; return whether that is news.
  adopt(of, chosen, cell) {
    const given = JSON.stringify([of, chosen && [chosen.layer, chosen.channel]])
    const news = given !== this.given
    if (news) this.cell = cell
    this.given = given
    this.of = of
    return news
  }

  // Select a cell, called `chosen` by the page, and report it; at once for a click, a moment later for a key.
  pick(cell, chosen, key = false) {
    this.cell = cell
    this.never(this.timer)
    const of = this.of
    this.timer = this.later(
      () => {
        this.given = JSON.stringify([of, chosen && [chosen.layer, chosen.channel]])
        this.report({ of, ...chosen })
      },
      key ? REPORT_AFTER : 0,
    )
  }

  close() {
    this.never(this.timer)
  }
}
