// Opens another page by clicking the link to it, which the page has just drawn beside this.

const TRIES = 120 // frames

export default function ({ data }) {
  const seek = (left) => {
    const link = document.querySelector(data.link)
    if (link) link.click()
    else if (left) requestAnimationFrame(() => seek(left - 1))
  }
  seek(TRIES)
}
