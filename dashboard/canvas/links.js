// Lets a click on a link to a page arrive.

// A page that redraws by itself asks for itself every second. Where the server is still at that, or such a request comes
// right after the click, Streamlit may draw the page of the other request: the click is lost. So a link that was clicked
// is clicked again when the page has come to rest and is still where it was, or never comes to rest.
const LISTENING = "winnowLinks"
const LINK = "a[data-testid=stPageLink-NavLink]"
const RESTING = "[data-testid=stApp][data-test-script-state=notRunning]"
const LOOK = 250 // ms between two looks
const SOON = 4 // looks after which a page at rest has lost the click
const LATE = 16 // looks after which any page has
const TRIES = 8 // for six seconds: longer than the server takes an address that was just left for a late one

/** Return whether a location is where a link leads to, or there with more said in the address. */
export function reached(link, at) {
  const there = new URLSearchParams(at.search)
  return link.pathname === at.pathname && [...link.searchParams].every(([name, value]) => there.get(name) === value)
}

/** Click the links of `target` (a window) again whose click was lost; `later` calls a function after some ms. */
export function arrive(target, later = (look, wait) => setTimeout(look, wait)) {
  if (target[LISTENING]) return
  const state = { way: 0, again: false }
  target[LISTENING] = state

  const look = (way, link, looks, tries) => {
    if (way !== state.way || !tries || reached(link, target.location)) return
    const lost = looks >= LATE || (looks >= SOON && target.document.querySelector(RESTING))
    if (lost) {
      state.again = true
      twin(target.document, link)?.click()
      state.again = false
    }
    later(() => look(way, link, lost ? 1 : looks + 1, lost ? tries - 1 : tries), LOOK)
  }

  target.addEventListener("popstate", () => (state.way += 1), true)
  target.addEventListener(
    "click",
    (event) => {
      if (state.again) return
      state.way += 1
      const link = event.button || event.ctrlKey || event.metaKey || event.shiftKey ? null : event.target.closest?.(LINK)
      if (!link) return
      const [way, address] = [state.way, new URL(link.href)]
      later(() => look(way, address, 1, TRIES), LOOK)
    },
    true,
  )
}

function twin(page, link) {
  return [...page.querySelectorAll(LINK)].find((other) => other.href === link.href)
}
