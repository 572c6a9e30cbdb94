import assert from "node:assert/strict"
import { test } from "node:test"

import { merged, sized } from "../../dashboard/canvas/sizes.js"

const LAYOUT = {
  font: { size: 13 },
  annotations: [{ text: "a" }, { text: "b", font: { size: 12 } }],
  yaxis: { tickfont: { size: 10 }, ticktext: Array(40).fill("layer") },
  xaxis: { title: { font: { size: 11 } } },
  margin: { t: 8 },
  template: { layout: { margin: { t: 36, b: 48 }, font: { size: 13 } } },
}
const DATA = [{ type: "bar" }, { type: "scatter", textfont: { size: 12 }, marker: { colorbar: { tickfont: { size: 11 } } } }]

test("every size of text grows, and the room for it above and below", () => {
  const { changes, traces } = sized(DATA, LAYOUT, { factor: 1.5, height: 2000 })
  assert.equal(changes["font.size"], 19.5)
  assert.equal(changes["annotations[0].font.size"], 19.5)
  assert.equal(changes["annotations[1].font.size"], 18)
  assert.equal(changes["yaxis.tickfont.size"], 15)
  assert.equal(changes["xaxis.title.font.size"], 16.5)
  assert.equal(changes["margin.t"], 12)
  assert.equal(changes["margin.b"], 72)
  assert.deepEqual(traces, [[1, { "textfont.size": 18, "marker.colorbar.tickfont.size": 16.5 }]])
  assert.ok(!Object.keys(changes).some((path) => path.startsWith("template")))
})

test("names of rows grow no more than their rows leave room for, and never shrink", () => {
  const at = (height) => sized(DATA, LAYOUT, { factor: 1.5, height }).changes["yaxis.tickfont.size"]
  assert.equal(at(750), 12)
  assert.equal(at(300), 10)
})

test("the title of a vertical axis grows no longer than its axis", () => {
  const yaxis = { title: { text: "rise of the loss", font: { size: 11 } }, domain: [0, 0.25] }
  const at = (height) => sized([], { yaxis }, { factor: 1.5, height }).changes["yaxis.title.font.size"]
  assert.equal(at(2000), 16.5)
  assert.equal(at(630), 12.5)
  assert.equal(at(300), 11)
})

test("as large as before gives what was there before", () => {
  const { changes, traces } = sized(DATA, LAYOUT, { factor: 1, height: 300 })
  assert.equal(changes["yaxis.tickfont.size"], 10)
  assert.equal(changes["margin.t"], 8)
  assert.deepEqual(traces[0][1], { "textfont.size": 12, "marker.colorbar.tickfont.size": 11 })
})

test("changes of several traces go by their path", () => {
  assert.deepEqual(merged([[0, { a: 1 }], [2, { a: 2, b: 3 }]]), { a: [1, 2], b: [undefined, 3] })
})
