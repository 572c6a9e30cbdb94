// The slides of a report, over the whole window: a page of its own in a frame that can reach nothing of this one.

const OVER = "position: fixed; inset: 0; width: 100vw; height: 100vh; border: 0; z-index: 1000002; background: #fff"

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector("div")
  const end = () => setTriggerValue("ended", true)
  let frame = root.querySelector("iframe")
  if (frame?.dataset.of !== data.address) {
    frame = document.createElement("iframe")
    frame.dataset.of = data.address
    frame.setAttribute("sandbox", "allow-scripts allow-downloads allow-modals")
    frame.setAttribute("allow", "fullscreen")
    frame.title = data.title
    frame.style.cssText = OVER
    frame.onload = () => frame.focus()
    frame.src = data.address
    root.replaceChildren(frame)
  }
  const heard = (event) => {
    if (event.source === frame.contentWindow && event.data === "winnow-presented") end()
  }
  const keyed = (event) => event.key === "Escape" && end()
  window.addEventListener("message", heard)
  window.addEventListener("keydown", keyed)
  return () => {
    window.removeEventListener("message", heard)
    window.removeEventListener("keydown", keyed)
  }
}
