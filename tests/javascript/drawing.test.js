import assert from "node:assert/strict"
import { test } from "node:test"

import { NEAR_BIT, differencePalette, normPalette } from "../../dashboard/canvas/colours.js"
import { escaped, hex, legendMarkup, lines, mapMarkup, mapsPicture, picture } from "../../dashboard/canvas/drawing.js"
import { local } from "../../dashboard/canvas/menu.js"
import { rowsOf } from "../../dashboard/canvas/rows.js"

const HOSTILE = `<script>"'&`
const ROWS = rowsOf([HOSTILE, "two"], [3, 4])
const LEVELS = Uint8Array.from([0, 5, NEAR_BIT + 9, 5, 0, 0, 127])

test("a colour is the one whose bytes are those of the pixel", () => {
  assert.equal(hex(0xff563412), "#123456")
})

test("a map draws every cell once, by its colour; the dead are hatched, what is near has an edge, names are text", () => {
  const { markup, height } = mapMarkup(ROWS, LEVELS, normPalette(), { width: 600 })
  const cells = [...markup.matchAll(/<path d="(M[^"]*z)" fill="([^"]*)"/g)].filter(([, , fill]) => fill !== "none")
  const count = (wanted) => cells.filter(([, , fill]) => wanted(fill)).flatMap(([, path]) => path.match(/z/g)).length
  assert.equal(count(() => true), LEVELS.length)
  assert.equal(count((fill) => fill === "url(#dead)"), 3)
  assert.equal([...markup.matchAll(/fill="none" stroke="#e69f00"/g)].length, 1)
  assert.ok(height > 20)
  assert.ok(!markup.includes("<script"))
  assert.ok(markup.includes("2/3") && markup.includes("2/4"))
})

test("twenty thousand cells are a few hundred elements", () => {
  const counts = Array.from({ length: 55 }, () => 414)
  const rows = rowsOf(counts.map((_, at) => `layer ${at}`), counts)
  const levels = Uint8Array.from({ length: 55 * 414 }, (_, at) => at % 128)
  const { markup } = mapMarkup(rows, levels, normPalette(), { width: 1000 })
  assert.ok(markup.match(/<(path|text)/g).length < 400)
  assert.ok(markup.length < 800_000)
})

test("a picture stands alone: white, with title and source as text, and refers to nothing outside", () => {
  const maps = ["A", "B", "difference"].map((title, at) => {
    return { title, rows: ROWS, levels: LEVELS, palette: at < 2 ? normPalette() : differencePalette() }
  })
  const drawn = mapsPicture(maps, [{ word: HOSTILE, colour: "" }, { word: "scale", colour: ["#000000", "#ffffff"] }])
  const svg = picture({ ...drawn, title: HOSTILE, reading: "How to read it.", source: `run ${HOSTILE}` })
  assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/)
  assert.match(svg, /<rect width="100%" height="100%" fill="#ffffff"\/>/)
  assert.equal(svg.split(escaped(HOSTILE)).length - 1 >= 4, true)
  assert.ok(!svg.includes("<script"))
  assert.deepEqual([...svg.matchAll(/(?:href|src)="/g)], [])
  const ids = [...svg.matchAll(/id="([^"]+)"/g)].map(([, id]) => id)
  assert.equal(new Set(ids).size, ids.length)
  for (const [, id] of svg.matchAll(/url\(#([^)]+)\)/g)) assert.ok(ids.includes(id), id)
})

test("text is broken into lines of at most so many letters, a word that is longer is cut", () => {
  assert.deepEqual(lines("one two three", 8), ["one two", "three"])
  assert.deepEqual(lines("", 8), [])
  assert.deepEqual(lines("abcdefghij", 4), ["abcd"])
})

test("a legend names all it shows", () => {
  const markup = legendMarkup([{ word: "dead", colour: "" }, { word: "near", colour: "edge #e69f00" }])
  assert.ok(markup.includes("dead") && markup.includes("near") && markup.includes("url(#dead)"))
})

test("what a drawing refers to lies in it", () => {
  const before = `<g clip-path="url(&quot;http://host/page?x=1#clip&quot;)" fill="url(#own)" mask="url('http://a#b')"/>`
  assert.equal(local(before), `<g clip-path="url(&quot;#clip&quot;)" fill="url(#own)" mask="url('#b')"/>`)
})
