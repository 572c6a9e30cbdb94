import assert from "node:assert/strict"
import { test } from "node:test"

import { target } from "../../dashboard/canvas/skip.js"

/** Return a root in which these selectors are found, and components with roots of their own. */
function rooted(found, components = []) {
  const parts = components.map((shadowRoot) => ({ shadowRoot }))
  return { querySelector: (selector) => found[selector] ?? null, querySelectorAll: () => [{}, ...parts] }
}

test("the map inside a component comes first, then the open tab, then the page", () => {
  const tab = { "[role=tab][aria-selected=true]": "tab", "main, [tabindex]": "page" }
  assert.equal(target(rooted(tab, [rooted({}), rooted({ "canvas[role=application]": "map" })])), "map")
  assert.equal(target(rooted(tab)), "tab")
  assert.equal(target(rooted({ "main, [tabindex]": "page" })), "page")
})
