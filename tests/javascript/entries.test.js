import assert from "node:assert/strict"
import { test } from "node:test"

import { changes } from "../../dashboard/canvas/entries.js"

const inside = (...names) => ({ closest: (asked) => names.some((name) => asked.includes(name)) || null })

test("a field that is left, a step, a box and an option may change a form", () => {
  assert.ok(changes("focusout", inside("stNumberInput")))
  assert.ok(changes("focusout", inside("stTextInput")))
  assert.ok(changes("click", inside("stNumberInput] button")))
  assert.ok(changes("click", inside("stCheckbox")))
  assert.ok(changes("click", inside("role=option")))
})

test("other clicks change none", () => {
  assert.ok(!changes("click", inside("stTextInput")))
  assert.ok(!changes("click", inside("stPageLink")))
  assert.ok(!changes("focusout", inside("stPageLink")))
  assert.ok(!changes("focusout", {}))
})
