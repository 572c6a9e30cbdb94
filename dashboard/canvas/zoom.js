// Keeps the zoom of the figures of a live run: each time there is new data, Streamlit mounts a figure anew.

// Plotly keeps what its button "Reset axes" goes back to in two numbers of each axis. A figure that is mounted anew is
// sent to the kept range by that button, and to its own by the next press.
const MARK = "winnowZoom"
const WORK = ["run", "study", "pruning", "explanation", "other"]
const RESET = ".modebar-btn[data-attr=zoom][data-val=reset]"
const FIRST = "_rangeInitial0"
const LAST = "_rangeInitial1"

/** Return by what a figure is known: the page, the work it is of, its key, what its axes say; "" for one without key. */
export function called({ pathname, search }, classes, layout) {
  const key = /st-key-(\S+_figure)/.exec(classes)?.[1]
  if (!key) return ""
  const asked = new URLSearchParams(search)
  const titles = Object.keys(layout)
    .filter((name) => /^[xy]axis\d*$/.test(name))
    .map((name) => layout[name].title?.text ?? "")
  return [pathname, ...WORK.map((name) => asked.get(name) ?? ""), key, ...titles].join("|")
}

/** Return the ranges that are kept after a change of the axes: those that a user set, not those that a figure has. */
export function kept(before, event, axes) {
  const after = { ...before }
  for (const name of Object.keys(event)) {
    const [, axis, what] = /^([xy]axis\d*)\.(range|autorange)/.exec(name) ?? []
    if (!axis || !axes[axis]) continue
    const { range, [FIRST]: first, [LAST]: last } = axes[axis]
    if (what === "autorange" || (range[0] === first && range[1] === last)) delete after[axis]
    else after[axis] = [...range]
  }
  return after
}

function restore(graph, ranges) {
  const own = Object.keys(ranges).filter((name) => graph._fullLayout[name])
  const first = own.map((name) => [graph._fullLayout[name][FIRST], graph._fullLayout[name][LAST]])
  const set = (name, [low, high]) => Object.assign(graph._fullLayout[name], { [FIRST]: low, [LAST]: high })
  own.forEach((name) => set(name, ranges[name]))
  graph.querySelector(RESET)?.click()
  own.forEach((name, place) => set(name, first[place]))
}

function watch(graph, ranges) {
  const name = called(window.location, graph.closest("[class*=st-key-]")?.className ?? "", graph.layout)
  graph[MARK] = true
  if (!name) return
  if (Object.keys(ranges[name] ?? {}).length) restore(graph, ranges[name])
  graph.on("plotly_relayout", (event) => (ranges[name] = kept(ranges[name], event, graph._fullLayout)))
}

export default function () {
  if (window[MARK]) return
  const ranges = (window[MARK] = {})
  const look = () => {
    for (const graph of document.querySelectorAll(".js-plotly-plot")) {
      if (!graph[MARK] && graph.on && graph._fullLayout?.xaxis && graph.querySelector(RESET)) watch(graph, ranges)
    }
  }
  new MutationObserver(() => requestAnimationFrame(look)).observe(document.body, { childList: true, subtree: true })
}
