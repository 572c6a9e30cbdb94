// Keeps the browser's history true: one entry a click, none lost by a page that is drawn late.

import { arrive } from "./links.js"

// Streamlit writes the address of a page when its first message arrives. Who has gone back meanwhile is elsewhere by
// then: the late page would add an entry there, which ends the way forward. So after a step through the history, an
// entry is added only once the user has done something on the page.
const MARK = "winnowHistory"
const DEEDS = ["click", "change", "keydown", "pointerup"]

/** Return whether an address says exactly what the page was drawn for; both are query strings. */
export function same(one, other) {
  const said = (text) => [...new URLSearchParams(text)].map((pair) => pair.join("=")).sort().join("&")
  return said(one) === said(other)
}

/** Let `history` take an entry only if the user did something after the last step through it. */
export function guard(target) {
  if (target[MARK]) return
  const push = target.history.pushState.bind(target.history)
  const state = { stepped: false }
  target[MARK] = state
  target.addEventListener("popstate", () => (state.stepped = true), true)
  for (const deed of DEEDS) target.addEventListener(deed, (event) => (state.stepped &&= !event.isTrusted), true)
  target.history.pushState = (...entry) => {
    if (!state.stepped) push(...entry)
  }
}

/** Write what the page completed in place of what it was asked for, if the browser is there still. */
export function complete(target, asked, whole) {
  const { pathname, search } = target.location
  if (same(asked, whole) || !same(search, asked)) return
  target.history.replaceState(target.history.state, "", `${pathname}?${new URLSearchParams(whole)}`)
}

export default function ({ data }) {
  guard(window)
  arrive(window)
  complete(window, data.asked, data.whole)
}
