import js from "@eslint/js"
import globals from "globals"

const rules = {
  "array-callback-return": "error",
  complexity: ["error", 10],
  eqeqeq: "error",
  "max-depth": ["error", 4],
  "max-lines": ["error", 300],
  "max-lines-per-function": ["error", 40],
  "max-params": ["error", 6],
  "no-eval": "error",
  "no-implicit-globals": "error",
  "no-shadow": "error",
  "no-undef": "error",
  "no-unused-vars": "error",
  "no-var": "error",
  "prefer-const": "error",
  "no-restricted-properties": [
    "error",
    ...["innerHTML", "outerHTML", "insertAdjacentHTML", "write"].map((property) => ({ property, message: "Set text." })),
  ],
}

export default [
  { ignores: ["**/node_modules/"] },
  js.configs.recommended,
  { files: ["dashboard/canvas/*.js"], languageOptions: { globals: globals.browser }, rules },
  {
    files: ["tests/javascript/*.js"],
    languageOptions: { globals: globals.node },
    rules: { ...rules, "max-lines-per-function": "off" },
  },
]
