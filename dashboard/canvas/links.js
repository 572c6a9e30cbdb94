// Lets a click on a link to a page arrive.

// A page that redraws by itself asks for itself every second. Where that request comes right after the click, Streamlit
// takes the two for one and draws the page of the later: the click is lost. So a link that was clicked is clicked again
// when the page has come to rest and is still where it was.
const MARK = "winnowLinks"
const LINK = "a[data-testid=stPageLink-NavLink]"
const RESTING = "[data-testid=stApp][data-test-script-state=notRunning]"
const LOOK = 250 // ms between two looks
const LOOKS = 80 // then the user will have clicked anew
const RESTED = 3 // looks at a page at rest, one after the other: a request on its way takes less
const TRIES = 3

/** Return whether a location is where a link leads to, or there with more said in the address. */
export function reached(link, at) {
  const there = new URLSearchParams(at.search)
  return link.pathname === at.pathname && [...link.searchParams].every(([name, value]) => there.get(name) === value)
}

/** Click the links of `target` (a window) again whose click was lost; `later` calls a function after some ms. */
export function arrive(target, later = (look, wait) => setTimeout(look, wait)) {
  if (target[MARK]) return
  const state = { way: 0, again: false }
  target[MARK] = state

  const look = (way, link, left, rested, tries) => {
    if (way !== state.way || !left || reached(link, target.location)) return
    const resting = target.document.querySelector(RESTING) ? rested + 1 : 0
    const again = resting >= RESTED && tries ? twin(target.document, link) : null
    state.again = true
    again?.click()
    state.again = false
    later(() => look(way, link, left - 1, again ? 0 : resting, again ? tries - 1 : tries), LOOK)
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
      later(() => look(way, address, LOOKS, 0, TRIES), LOOK)
    },
    true,
  )
}

function twin(page, link) {
  return [...page.querySelectorAll(LINK)].find((other) => other.href === link.href)
}
