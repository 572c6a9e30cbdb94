// The first link of a page leads a keyboard past the links to the other pages: to the map, or to the open view.

/** Return what to go to, also inside components: the first that can be focused of a map, the open tab, the page. */
export function target(root) {
  const inside = [...root.querySelectorAll("*")].map((one) => one.shadowRoot).filter(Boolean)
  const map = [root, ...inside].map((one) => one.querySelector("canvas[role=application]")).find(Boolean)
  return map ?? root.querySelector("[role=tab][aria-selected=true]") ?? root.querySelector("main, [tabindex]")
}

export default function ({ parentElement }) {
  parentElement.querySelector("a").onclick = (event) => {
    event.preventDefault()
    target(document)?.focus()
  }
}
