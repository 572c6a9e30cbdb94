// Sends what was entered into a form as soon as a field is left. Its fields send nothing by themselves, so that the page
// is not drawn again after each; without this, a click on a link to another page would lose them.

const FIELDS = ["stNumberInput", "stTextInput", "stTextArea"]
const CHOICES = ["stCheckbox", "stMultiSelect", "stSelectbox"]
const AFTER = 20 // ms: the field has taken its value by then, and a click on a link is not over yet

const within = (names) => names.map((name) => `[data-testid=${name}]`).join(",")

/** Return whether an event may have changed a field of a form. */
export function changes(type, target) {
  if (!target?.closest) return false
  if (type === "focusout") return Boolean(target.closest(within([...FIELDS, ...CHOICES])))
  return Boolean(target.closest(`${within(CHOICES)},[role=option],[data-testid=stNumberInput] button`))
}

export default function ({ setTriggerValue }) {
  let waiting = 0
  const heard = ({ type, target }) => {
    if (!changes(type, target)) return
    window.clearTimeout(waiting)
    waiting = window.setTimeout(() => setTriggerValue("left", true), AFTER)
  }
  for (const type of ["focusout", "click"]) document.addEventListener(type, heard)
  return () => {
    window.clearTimeout(waiting)
    for (const type of ["focusout", "click"]) document.removeEventListener(type, heard)
  }
}
