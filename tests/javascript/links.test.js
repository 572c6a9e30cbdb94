import assert from "node:assert/strict"
import { test } from "node:test"

import { arrive, reached } from "../../dashboard/canvas/links.js"

const HREF = "http://127.0.0.1/prune?run=a"

/** Return a window with one link, what was clicked again, and a way to let time pass. */
function browser() {
  const clicks = []
  const waiting = []
  const link = { href: HREF, click: () => (clicks.push(HREF), act("click")), closest: () => link }
  const target = new EventTarget()
  target.location = new URL("http://127.0.0.1/train?run=a&view=Log")
  target.resting = true
  target.document = { querySelector: () => (target.resting ? {} : null), querySelectorAll: () => [link] }
  arrive(target, (look) => waiting.push(look))
  arrive(target, () => assert.fail("it listens once"))
  const pass = (looks) => {
    for (; looks && waiting.length; looks -= 1) waiting.shift()()
    return clicks.length
  }
  const act = (kind, more = {}) => {
    const event = new Event(kind)
    const said = { button: 0, target: link, ...more }
    for (const [name, value] of Object.entries(said)) Object.defineProperty(event, name, { value })
    target.dispatchEvent(event)
  }
  return { target, act, pass }
}

test("a location is reached where it says all that the link says", () => {
  const link = new URL(HREF)
  assert.ok(reached(link, new URL("http://127.0.0.1/prune?pruning=p1&run=a")))
  assert.ok(!reached(link, new URL("http://127.0.0.1/prune?run=b")))
  assert.ok(!reached(link, new URL("http://127.0.0.1/train?run=a")))
})

test("a link whose click was lost is clicked again once the page rests, eight times at most", () => {
  const { act, pass } = browser()
  act("click")
  assert.equal(pass(3), 0)
  assert.equal(pass(1), 1)
  assert.equal(pass(500), 8)
})

test("a link whose click was lost is clicked again where the page never rests, later", () => {
  const { target, act, pass } = browser()
  target.resting = false
  act("click")
  assert.equal(pass(15), 0)
  assert.equal(pass(1), 1)
})

test("a link whose page is there is not clicked again", () => {
  const { target, act, pass } = browser()
  act("click")
  target.location = new URL(HREF)
  assert.equal(pass(500), 0)
})

test("a link is not clicked again after another deed, nor where it opens another tab", () => {
  for (const after of [["popstate"], ["click", { target: { closest: () => null } }]]) {
    const { act, pass } = browser()
    act("click")
    act(...after)
    assert.equal(pass(500), 0)
  }
  for (const more of [{ ctrlKey: true }, { button: 1 }]) {
    const { act, pass } = browser()
    act("click", more)
    assert.equal(pass(500), 0)
  }
})
