// The rows of the survival map, made from what the server sent. A place is where a cell stands, a channel is what it
// shows: the two differ once the cells are sorted. Loaded between pens.js and map.js, as one module.

function rowsOf(data) {
  const norms = new Float32Array(bytes(data.norms))
  const near = new Uint8Array(bytes(data.near)) // one bit a channel
  const order = data.order && new Uint16Array(bytes(data.order))
  let start = 0
  return data.layers.map((name, index) => {
    const first = start
    const values = norms.subarray(first, (start += data.counts[index]))
    return {
      name,
      values,
      alive: values.reduce((sum, norm) => sum + (norm > 0), 0),
      near: Array.from(values, (_, i) => (near[(first + i) >> 3] >> ((first + i) & 7)) & 1),
      ...placesOf(order ? order.subarray(first, start) : values.map((_, i) => i)),
    }
  })
}

// channelAt: place → channel, placeOf: channel → place.
function placesOf(order) {
  const placeOf = new Uint16Array(order.length)
  order.forEach((channel, place) => (placeOf[channel] = place))
  return { channelAt: order, placeOf }
}

function bytes(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer
}

function cellNamed(rows, chosen) {
  const row = chosen ? rows.findIndex(({ name }) => name === chosen.layer) : -1
  return row >= 0 && chosen.channel < rows[row].values.length ? { row, channel: chosen.channel } : null
}

// What a cell holds when it stands for several channels, places [first, last): the strongest of them.
function strongestOf({ values, channelAt }, first, last) {
  let best = channelAt[first]
  for (let place = first + 1; place < last; place++) {
    if (values[channelAt[place]] > values[best]) best = channelAt[place]
  }
  return best
}

function stateOf({ values, near }, channel) {
  const norm = values[channel]
  if (!(norm > 0)) return "dead, exactly zero"
  return `${near[channel] ? "near the threshold" : "alive"}, norm ${brief(norm)}`
}
