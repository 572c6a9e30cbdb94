import assert from "node:assert/strict"
import { test } from "node:test"

import { Picker } from "../../dashboard/canvas/picking.js"

const [STEM, DEEP] = [
  { layer: "stem", channel: 1 },
  { layer: "deep", channel: 2 },
]

// A picker whose time is in the test's hands: `pass` lets all that waits happen.
function made() {
  const waiting = new Map()
  const heard = []
  const later = (act, wait) => waiting.set(waiting.size + 1, { act, wait }) && waiting.size
  const picker = new Picker(later, (timer) => waiting.delete(timer))
  picker.report = (value) => heard.push(value)
  const pass = () => [...waiting].forEach(([timer, { act }]) => waiting.delete(timer) && act())
  return { picker, heard, pass, waiting }
}

test("what the page says is taken over", () => {
  const { picker } = made()
  assert.equal(picker.adopt("run", STEM, { row: 0, channel: 1 }), true)
  assert.deepEqual(picker.cell, { row: 0, channel: 1 })
  assert.equal(picker.adopt("run", null, null), true)
  assert.equal(picker.cell, null)
})

test("the echo of a report does not undo what the user did since", () => {
  const { picker, heard, pass } = made()
  picker.adopt("run", null, null)
  picker.pick({ row: 0, channel: 1 }, STEM)
  pass()
  picker.pick({ row: 1, channel: 2 }, DEEP, true)
  assert.equal(picker.adopt("run", STEM, { row: 0, channel: 1 }), false)
  assert.deepEqual(picker.cell, { row: 1, channel: 2 })
  pass()
  assert.deepEqual(heard, [{ of: "run", ...STEM }, { of: "run", ...DEEP }])
})

test("of some quick keys only the last is reported, a click at once", () => {
  const { picker, heard, pass, waiting } = made()
  picker.adopt("run", null, null)
  picker.pick({ row: 0, channel: 1 }, STEM, true)
  picker.pick({ row: 1, channel: 2 }, DEEP, true)
  assert.equal([...waiting.values()].length, 1)
  assert.ok([...waiting.values()][0].wait > 0)
  pass()
  assert.deepEqual(heard, [{ of: "run", ...DEEP }])
  picker.pick(null, null)
  assert.equal([...waiting.values()][0].wait, 0)
  pass()
  assert.deepEqual(heard[1], { of: "run" })
})

test("a report names what was shown when the user picked, whatever is shown by then", () => {
  const { picker, heard, pass } = made()
  picker.adopt("one", null, null)
  picker.pick({ row: 0, channel: 1 }, STEM, true)
  picker.adopt("other", null, null)
  pass()
  assert.equal(heard[0].of, "one")
})

test("a closed picker says nothing more", () => {
  const { picker, heard, pass } = made()
  picker.pick({ row: 0, channel: 1 }, STEM, true)
  picker.close()
  pass()
  assert.deepEqual(heard, [])
})
