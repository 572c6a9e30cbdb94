import assert from "node:assert/strict"
import { test } from "node:test"

import { bitsOf, bytesOf, cellNamed, floatsOf, groupOf, has, nameOf, quoted, rowsOf, stepped } from "../../dashboard/canvas/rows.js"
import { base64 } from "./making.js"

const ROWS = rowsOf(["stem", "<b>deep</b>"], [3, 4])
const SORTED = rowsOf(["stem", "deep"], [3, 4], base64(Uint16Array.of(1, 0, 2, 3, 1, 2, 0)))
const LEVELS = Uint8Array.of(9, 0, 9, 9, 0, 0, 9)

test("bytes, floats and bits are read as they were written", () => {
  assert.deepEqual([...bytesOf(base64(Uint8Array.of(0, 7, 255)))], [0, 7, 255])
  assert.deepEqual([...floatsOf(base64(Float32Array.of(0, 1.5, -2)))], [0, 1.5, -2])
  assert.deepEqual([...bitsOf(base64(Uint8Array.of(0b00000101, 0b1)), 9)], [1, 0, 1, 0, 0, 0, 0, 0, 1])
})

test("rows hold the groups of their layer, one after the other", () => {
  assert.deepEqual(ROWS.map(({ first, next, count }) => [first, next, count]), [[0, 3, 3], [3, 7, 4]])
  assert.equal(groupOf(ROWS, { row: 1, channel: 2 }), 5)
})

test("place and channel undo one another", () => {
  for (const { channelAt, placeOf } of SORTED) {
    placeOf.forEach((place, channel) => assert.equal(channelAt[place], channel))
  }
  assert.deepEqual([...SORTED[1].channelAt], [3, 1, 2, 0])
})

test("a cell is named by its layer, and a name that is not there is none", () => {
  const cell = { row: 1, channel: 3 }
  assert.deepEqual(cellNamed(ROWS, nameOf(ROWS, cell)), cell)
  for (const chosen of [null, { layer: "nowhere", channel: 0 }, { layer: "stem", channel: 3 }]) {
    assert.equal(cellNamed(ROWS, chosen), null)
  }
  assert.deepEqual([has(ROWS, cell), has(ROWS, null), has(ROWS, { row: 2, channel: 0 })], [true, false, false])
})

test("arrows walk the places, not the channels, and stop at the ends", () => {
  const start = { row: 1, channel: 3 }
  const walk = (cell, ...keys) => keys.reduce((at, key) => stepped(SORTED, LEVELS, at, key), cell)
  assert.deepEqual(walk(start, "ArrowRight"), { row: 1, channel: 1 })
  assert.deepEqual(walk(start, "ArrowLeft"), start)
  assert.deepEqual(walk(start, "End", "ArrowRight"), { row: 1, channel: 0 })
  assert.deepEqual(walk(start, "End", "ArrowUp"), { row: 0, channel: 2 })
  assert.deepEqual(walk(start, "ArrowDown"), start)
  assert.deepEqual(walk(start, "End", "Home"), start)
})

test("a channel is called by its name, of its own layer, and by nothing that it has not", () => {
  const called = { stem: { 3: "wheels" } }
  assert.equal(quoted(called, "stem", 3), " “wheels”")
  assert.equal(quoted(called, "stem", 2) + quoted(called, "deep", 3) + quoted(called, "constructor", "name"), "")
})

test("brackets jump to the next living group of the layer, and stay where there is none", () => {
  assert.deepEqual(stepped(ROWS, LEVELS, { row: 1, channel: 0 }, "]"), { row: 1, channel: 3 })
  assert.deepEqual(stepped(ROWS, LEVELS, { row: 1, channel: 3 }, "["), { row: 1, channel: 0 })
  assert.deepEqual(stepped(ROWS, LEVELS, { row: 1, channel: 3 }, "]"), { row: 1, channel: 3 })
})

test("a key without a selection reaches the first place; Escape selects nothing; others mean nothing", () => {
  for (const key of ["ArrowRight", "ArrowDown", "End"]) {
    assert.deepEqual(stepped(SORTED, LEVELS, null, key), { row: 0, channel: 1 })
  }
  assert.equal(stepped(ROWS, LEVELS, { row: 0, channel: 0 }, "Escape"), null)
  assert.equal(stepped(ROWS, LEVELS, null, "Tab"), undefined)
})
