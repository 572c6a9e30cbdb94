// The axis of a path: which trained point is nearest to a place, and what a place asks for. Pure functions.

// points: [{place}], in order; the first of equals
export function nearest(points, place) {
  let best = 0
  points.forEach((point, i) => {
    if (Math.abs(point.place - place) < Math.abs(points[best].place - place)) best = i
  })
  return best
}

// What a place on the axis asks for: a target, or a strength on a log axis; 0 is dense.
export function levelAt({ low, high, first, log }, place) {
  if (!log) return Math.round(place * high * 10) / 10
  if (place < first / 2) return 0
  return Number((low * Math.exp((Math.max(place - first, 0) / (1 - first)) * Math.log(high / low))).toPrecision(3))
}

// The trained point that a key leads to from another, undefined for keys that mean nothing here
export function pointAfter(key, now, last) {
  const steps = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, Home: 0, End: last }
  return key in steps ? Math.min(Math.max(steps[key], 0), last) : undefined
}

// From which point on a group is dead, given whether it is at each; the number of points where it is alive at the end
export function deadFrom(dead) {
  return dead.lastIndexOf(false) + 1
}
