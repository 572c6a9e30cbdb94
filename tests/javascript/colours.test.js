import assert from "node:assert/strict"
import { test } from "node:test"

import {
  NEAR_BIT,
  STEPS,
  between,
  brief,
  differencePalette,
  levelsOf,
  normOf,
  normPalette,
  pixel,
  said,
} from "../../dashboard/canvas/colours.js"
import { random } from "./making.js"

const SCALE = { low: 0.1, high: 10 }

test("a pixel holds red, green, blue and full opacity from the lowest byte on", () => {
  assert.deepEqual([...new Uint8Array(Uint32Array.of(pixel("#123570")).buffer)], [0x12, 0x35, 0x70, 255])
})

test("colours between stops begin and end at them", () => {
  const found = between(["#000000", "#808080", "#ffffff"], 5)
  assert.deepEqual([...found], ["#000000", "#404040", "#808080", "#c0c0c0", "#ffffff"].map(pixel))
})

test("only what is zero is level zero, and the order of norms is kept", () => {
  const draw = random(1)
  const norms = Float32Array.from({ length: 500 }, () => (draw() < 0.3 ? 0 : 0.01 * 10 ** (4 * draw())))
  const levels = levelsOf(norms, new Uint8Array(500), SCALE)
  norms.forEach((norm, i) => assert.equal(levels[i] === 0, norm === 0))
  const order = [...norms.keys()].sort((a, b) => norms[a] - norms[b])
  order.slice(1).forEach((at, i) => assert.ok(levels[at] >= levels[order[i]]))
})

test("a level is within half a step of its norm, and what lies beyond the scale gets its ends", () => {
  for (const norm of [0.1, 0.37, 1, 4.2, 10]) {
    const [level] = levelsOf([norm], [0], SCALE)
    assert.ok(Math.abs(Math.log(normOf(level, SCALE) / norm)) <= Math.log(100) / STEPS / 2 + 1e-9)
  }
  assert.deepEqual([...levelsOf([1e-6, 1e6], [0, 0], SCALE)], [1, STEPS + 1])
})

test("near is a bit of the living", () => {
  const [alive, near, dead] = levelsOf([1, 1, 0], [0, 1, 1], SCALE)
  assert.deepEqual([near, dead], [alive + NEAR_BIT, 0])
})

test("a scale of one norm divides by nothing", () => {
  assert.deepEqual([...levelsOf([2, 0], [0, 0], { low: 2, high: 2 })], [1, 0])
})

test("the palette of norms shows near ones in the same shade, with an edge", () => {
  const { colours, edges, rank } = normPalette()
  assert.equal(colours[60], colours[60 + NEAR_BIT])
  assert.deepEqual([edges[60], edges[60 + NEAR_BIT] > 0], [0, true])
  assert.deepEqual([rank(0), rank(60), rank(60 + NEAR_BIT)], [0, 60, 60])
})

test("the palette of differences ranks what lives in one network only above all else", () => {
  const { colours, rank } = differencePalette()
  assert.notEqual(colours[254], colours[255])
  assert.ok(rank(254) > rank(253) && rank(255) > rank(1))
  assert.ok(rank(1) > rank(127) && rank(127) > rank(0))
})

test("a group is said with its exact norm where that is known", () => {
  assert.equal(said(0, SCALE), "dead, exactly zero")
  assert.equal(said(60, SCALE, 0.1234), "alive, norm 0.123")
  assert.equal(said(60 + NEAR_BIT, SCALE, 0.5), "near the threshold, norm 0.500")
  assert.equal(said(STEPS + 1, SCALE), "alive, norm about 10.0")
})

test("numbers have three figures or an exponent", () => {
  assert.deepEqual([0, 0.001, 0.5, 999, 12345].map(brief), ["0", "1.0e-3", "0.500", "999", "1.2e+4"])
})
