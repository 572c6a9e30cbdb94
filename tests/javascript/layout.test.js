import assert from "node:assert/strict"
import { test } from "node:test"

import { normPalette } from "../../dashboard/canvas/colours.js"
import { binAt, extent, frameOf, laidOut, shown } from "../../dashboard/canvas/layout.js"
import { aliveIn, paint, shortened } from "../../dashboard/canvas/painting.js"
import { rowsOf } from "../../dashboard/canvas/rows.js"
import { random } from "./making.js"

const { rank } = normPalette()
const CASES = [
  { counts: [3, 4], width: 600, ratio: 1 },
  { counts: [64, 512, 2048], width: 900, ratio: 1 },
  { counts: [64, 512, 2048], width: 900, ratio: 2.5 },
  { counts: Array.from({ length: 120 }, (_, i) => 1 + i), width: 320, ratio: 1.5 },
]

function laid({ counts, width, ratio }) {
  const rows = rowsOf(counts.map((_, i) => `layer ${i}`), counts)
  return [rows, laidOut(rows, { width, ratio, words: 70 })]
}

test("the cells of every row fit into the room there is, one after the other", () => {
  for (const situation of CASES) {
    const [rows, layout] = laid(situation)
    rows.forEach((row, place) => {
      const bins = layout.bins[place]
      assert.ok(bins.count <= row.count)
      let last = 0
      for (let bin = 0; bin < bins.count; bin++) {
        const [from, to] = extent(bins, bin)
        assert.ok(from >= last && to > from)
        last = to
      }
      assert.ok(last <= layout.room, `${last} of ${layout.room}`)
    })
  }
})

test("every channel belongs to the bin in which its frame stands, and the middle of a frame hits that bin", () => {
  for (const situation of CASES) {
    const [rows, layout] = laid(situation)
    rows.forEach((row, place) => {
      for (let channel = 0; channel < row.count; channel += 1 + (row.count >> 5)) {
        const frame = frameOf(layout, rows, { row: place, channel })
        const hit = binAt(layout, frame.left + 0.4 / situation.ratio, frame.top + frame.height / 2)
        assert.equal(hit.row, place)
        const own = Math.floor((channel * layout.bins[place].count) / row.count)
        assert.ok(Math.abs(hit.bin - own) <= (layout.bins[place].wide < 2 ? 1 : 0))
      }
    })
  }
})

test("nothing is hit beside the cells", () => {
  const [, layout] = laid(CASES[0])
  for (const [x, y] of [[layout.left - 1, 5], [layout.width - 1, 5], [layout.left + 5, layout.height + 1], [5, -1]]) {
    assert.equal(binAt(layout, x, y), null)
  }
})

test("a bin shows the strongest of its channels, the first of equals", () => {
  const [row] = rowsOf(["wide"], [6])
  const levels = Uint8Array.of(0, 5, 5, 0, 128 + 3, 4)
  const bins = { count: 2 }
  assert.equal(shown(row, bins, 0, levels, rank), 1)
  assert.equal(shown(row, bins, 1, levels, rank), 5)
})

test("a painted cell has the colour of its level, and a dead one is hatched", () => {
  const [rows, layout] = laid(CASES[0])
  const palette = normPalette()
  const levels = Uint8Array.of(0, 40, 128 + 40, 127, 1, 0, 60)
  const pixels = new Uint32Array(layout.room * layout.height)
  paint(pixels, layout, rows, levels, palette)
  const middle = (place, bin) => {
    const [from, to] = extent(layout.bins[place], bin)
    const y = Math.floor(place * layout.pitch + layout.pitch / 2)
    return pixels[y * layout.room + Math.floor((from + to) / 2)]
  }
  assert.equal(middle(0, 1), palette.colours[40])
  assert.equal(middle(0, 2), palette.colours[40])
  assert.equal(middle(1, 0), palette.colours[127])
  const [from, to] = extent(layout.bins[0], 0)
  const cell = Array.from({ length: to - from }, (_, i) => pixels[8 * layout.room + from + i])
  assert.ok(cell.includes(0xbf958480) && cell.includes(0))
  const [near] = extent(layout.bins[0], 2)
  assert.equal(pixels[8 * layout.room + near], palette.edges[128 + 40])
})

test("painting again leaves nothing of what was there", () => {
  const [rows, layout] = laid(CASES[1])
  const draw = random(3)
  const [first, second] = [1, 2].map(() => Uint8Array.from({ length: 2624 }, () => 127 * (draw() < 0.5)))
  const once = new Uint32Array(layout.room * layout.height)
  const twice = new Uint32Array(layout.room * layout.height)
  paint(once, layout, rows, second, normPalette())
  paint(twice, layout, rows, first, normPalette())
  paint(twice, layout, rows, second, normPalette())
  assert.deepEqual(once, twice)
})

test("the living of a row are counted", () => {
  const rows = rowsOf(["a", "b"], [2, 3])
  const levels = Uint8Array.of(0, 1, 200, 0, 127)
  assert.deepEqual(rows.map((row) => aliveIn(row, levels)), [1, 2])
})

test("a long name loses its start", () => {
  const wide = (text) => text.length
  assert.equal(shortened("trunk.stages.0.conv", 30, wide), "trunk.stages.0.conv")
  assert.equal(shortened("trunk.stages.0.conv", 7, wide), "….0.conv".slice(0, 1) + "0.conv".slice(-6))
  assert.ok(wide(shortened("trunk.stages.0.conv", 7, wide)) <= 7)
})
