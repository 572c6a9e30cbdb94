import assert from "node:assert/strict"
import { test } from "node:test"

import { called, kept } from "../../dashboard/canvas/zoom.js"

const AXES = { xaxis: { range: [1, 2], _rangeInitial0: 0, _rangeInitial1: 5 }, yaxis2: { range: [3, 4] } }

test("a figure is known by page, work, key and axes", () => {
  const layout = { xaxis: { title: { text: "epoch" } }, yaxis: {}, title: {} }
  const place = { pathname: "/train", search: "?run=a&view=Curves" }
  assert.equal(called(place, "stElementContainer st-key-curves_figure", layout), "/train|a|||||curves_figure|epoch|")
  assert.equal(called(place, "st-key-controls", layout), "")
})

test("a range that a user set is kept until it is reset", () => {
  const zoomed = kept({}, { "xaxis.range[0]": 1, "xaxis.range[1]": 2, "yaxis2.range": [3, 4], width: 100 }, AXES)
  assert.deepEqual(zoomed, { xaxis: [1, 2], yaxis2: [3, 4] })
  assert.deepEqual(kept(zoomed, { "yaxis2.autorange": true }, AXES), { xaxis: [1, 2] })
  const reset = { ...AXES, xaxis: { ...AXES.xaxis, range: [0, 5] } }
  assert.deepEqual(kept(zoomed, { "xaxis.range[0]": 0 }, reset), { yaxis2: [3, 4] })
})
