import assert from "node:assert/strict"
import { test } from "node:test"

import { networkPicture } from "../../dashboard/canvas/boxes.js"

const NODES = [
  { at: [0, 0], name: "input: <b>", words: "3 channels", fill: null, ink: null, bars: [], layer: null },
  { at: [0, 1], name: "a.very.long.name.of.a.layer.conv1", words: "4 of 8", fill: "#123570", ink: "#ffffff", bars: [[0.5, "#808495"]] },
]
const EDGES = [{ over: [[0, 0], [0, 1]], width: 2.5, silent: true }]

test("a network is drawn with its legend, in its own colours, names as text and their ends where they are long", () => {
  const { body, width, height } = networkPicture({ nodes: NODES, edges: EDGES, legend: [["share", "linear-gradient(90deg, #123570, #fee838)"]] })
  assert.ok(width >= 620 && height > 100)
  assert.ok(body.includes("input: &lt;b&gt;") && !body.includes("<b>"))
  assert.ok(body.includes('fill="#ffffff">…'+NODES[1].name.slice(-25)+"</text>"))
  assert.ok(body.includes('stroke-dasharray="3 4"'))
  assert.ok(body.includes('fill="#fee838"') && body.includes(">share</text>"))
  assert.ok(body.includes('width="78" height="5" fill="#808495"'))
})

test("words are squeezed and not cut, and the legend has room", () => {
  const words = "no sure lead in 64 channels"
  const legend = [1, 2, 3, 4, 5].map((task) => [`segmentation ${task} leads`, "#D55E00"])
  const { body, width } = networkPicture({ nodes: [{ ...NODES[0], words }], edges: [], legend })
  assert.ok(body.includes(`lengthAdjust="spacingAndGlyphs">${words}</text>`))
  const last = Number(body.match(/<text x="([\d.]+)" y="10">segmentation 5/)[1])
  assert.ok(last + 20 * 6 < width)
})

test("a colour of a task is one swatch", () => {
  const { body } = networkPicture({ nodes: NODES.slice(0, 1), edges: [], legend: [["depth leads", "#D55E00"]] })
  assert.equal(body.match(/#D55E00/g).length, 1)
})
