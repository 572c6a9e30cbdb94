import assert from "node:assert/strict"
import { test } from "node:test"

import { deadFrom, levelAt, nearest, pointAfter } from "../../dashboard/canvas/axis.js"

const POINTS = [0, 0.25, 0.5, 1].map((place) => ({ place }))
const LOG = { low: 0.01, high: 1, first: 0.12, log: true }

test("the nearest trained point is shown, the first of equals", () => {
  assert.deepEqual([0, 0.1, 0.125, 0.3, 0.74, 0.75, 0.76, 2].map((place) => nearest(POINTS, place)), [0, 0, 0, 1, 2, 2, 3, 3])
})

test("a target stands on a linear axis", () => {
  assert.equal(levelAt({ high: 80, log: false }, 0.56), 44.8)
  assert.equal(levelAt({ high: 80, log: false }, 0), 0)
})

test("a strength stands on a log axis with the dense network apart", () => {
  assert.deepEqual([0, 0.05, 0.12, 0.56, 1].map((place) => levelAt(LOG, place)), [0, 0, 0.01, 0.1, 1])
})

test("keys lead to trained points and stop at the ends", () => {
  assert.deepEqual(["ArrowLeft", "ArrowRight", "Home", "End"].map((key) => pointAfter(key, 0, 3)), [0, 1, 0, 3])
  assert.equal(pointAfter("ArrowUp", 3, 3), 3)
  assert.equal(pointAfter("Tab", 1, 3), undefined)
})

test("a group is dead from the point after the last at which it is alive", () => {
  assert.equal(deadFrom([false, false, true, true]), 2)
  assert.equal(deadFrom([false, true, false]), 3)
  assert.equal(deadFrom([true, true]), 0)
})
