// The rows of a map: one per layer. A place is where a cell stands, a channel is what it shows; the two differ once the
// cells are sorted. A cell is {row, channel}. All functions here are pure.

export function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
}

export function floatsOf(text) {
  return new Float32Array(bytesOf(text).buffer)
}

// One bit a group, the lowest bit of a byte first
export function bitsOf(text, count) {
  const packed = bytesOf(text)
  return Uint8Array.from({ length: count }, (_, at) => (packed[at >> 3] >> (at & 7)) & 1)
}

// order: of all groups, two bytes each, the channel at each place of its layer; "" for the order of the network
export function rowsOf(names, counts, order = "") {
  const sorted = order && new Uint16Array(bytesOf(order).buffer)
  let first = 0
  return names.map((name, row) => {
    const [from, next] = [first, (first += counts[row])]
    const channelAt = sorted ? sorted.subarray(from, next) : Uint16Array.from({ length: counts[row] }, (_, at) => at)
    const placeOf = new Uint16Array(counts[row])
    channelAt.forEach((channel, place) => (placeOf[channel] = place))
    return { name, first: from, next, count: counts[row], channelAt, placeOf }
  })
}

// The cell that the page calls {layer, channel}; null for none
export function cellNamed(rows, chosen) {
  const row = chosen ? rows.findIndex(({ name }) => name === chosen.layer) : -1
  return row >= 0 && chosen.channel < rows[row].count ? { row, channel: chosen.channel } : null
}

export function has(rows, cell) {
  return Boolean(cell && rows[cell.row] && cell.channel < rows[cell.row].count)
}

export function nameOf(rows, cell) {
  return cell && { layer: rows[cell.row].name, channel: cell.channel }
}

// What the user calls a channel, in quotes behind its number; called: {layer: {channel: name}}
export function quoted(called, layer, channel) {
  const own = Object.hasOwn(called, layer) ? called[layer] : {}
  return Object.hasOwn(own, channel) ? ` “${own[channel]}”` : ""
}

export function groupOf(rows, cell) {
  return rows[cell.row].first + cell.channel
}

// Where a key leads from a cell: to a cell, null for nothing selected, undefined for keys that mean nothing here.
// Without a cell the first one is reached. `levels` say which groups are alive, for [ and ].
export function stepped(rows, levels, cell, key) {
  if (key === "Escape") return null
  const start = cell || { row: 0, channel: rows[0].channelAt[0] }
  const { channelAt, placeOf } = rows[start.row]
  const [place, last] = [placeOf[start.channel], channelAt.length - 1]
  const sideways = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: last }
  if (key in sideways) {
    return cell ? { row: cell.row, channel: channelAt[Math.min(Math.max(sideways[key], 0), last)] } : start
  }
  if (key === "ArrowUp" || key === "ArrowDown") return cell ? neighbour(rows, cell.row, place, key) : start
  if (key === "[" || key === "]") return { row: start.row, channel: survivor(rows[start.row], levels, place, key) }
  return undefined
}

function neighbour(rows, row, place, key) {
  const next = Math.min(Math.max(row + (key === "ArrowUp" ? -1 : 1), 0), rows.length - 1)
  const { channelAt } = rows[next]
  return { row: next, channel: channelAt[Math.min(place, channelAt.length - 1)] }
}

function survivor({ first, channelAt }, levels, place, key) {
  const step = key === "[" ? -1 : 1
  for (let at = place + step; at >= 0 && at < channelAt.length; at += step) {
    if (levels[first + channelAt[at]]) return channelAt[at]
  }
  return channelAt[place]
}
