import assert from "node:assert/strict"
import { test } from "node:test"

import { complete, guard, same } from "../../dashboard/canvas/history.js"

/** Return a window whose entries can be seen. */
function browser(search = "") {
  const entries = []
  const target = new EventTarget()
  target.location = { pathname: "/train", search }
  target.history = {
    state: {},
    pushState: (_state, _title, address) => entries.push(address),
    replaceState: (_state, _title, address) => (entries[Math.max(entries.length - 1, 0)] = address),
  }
  return { target, entries }
}

function trusted(kind) {
  const event = new Event(kind)
  Object.defineProperty(event, "isTrusted", { value: true })
  return event
}

test("two query strings are the same whatever their order", () => {
  assert.ok(same("?a=1&b=%2B", "b=%2B&a=1"))
  assert.ok(!same("a=1", "a=2"))
})

test("a page that is drawn after a step through the history adds no entry, a deed does", () => {
  const { target, entries } = browser()
  guard(target)
  guard(target)
  target.history.pushState({}, "", "/train")
  target.dispatchEvent(new Event("popstate"))
  target.history.pushState({}, "", "/late")
  target.dispatchEvent(trusted("click"))
  target.history.pushState({}, "", "/groups")
  assert.deepEqual(entries, ["/train", "/groups"])
})

test("what completes an address takes the place of what was asked for, where the browser is there still", () => {
  const { target, entries } = browser("?layer=stem")
  complete(target, "layer=stem", "layer=stem")
  complete(target, "layer=other", "layer=other&run=a")
  assert.deepEqual(entries, [])
  complete(target, "layer=stem", "layer=stem&run=a")
  assert.deepEqual(entries, ["/train?layer=stem&run=a"])
})
