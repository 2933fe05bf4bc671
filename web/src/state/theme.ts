// Light or dark: the system's, until somebody chooses. public/theme.js does the same before the first paint.
import { ref } from 'vue'

const root = document.documentElement
export const dark = ref(root.classList.contains('dark'))

function show(value: boolean): void {
  dark.value = value
  root.classList.toggle('dark', value)
}

matchMedia('(prefers-color-scheme: dark)').addEventListener('change', (event) => {
  if (localStorage.getItem('fairlead.theme') === null) show(event.matches)
})

export function toggleTheme(): void {
  show(!dark.value)
  localStorage.setItem('fairlead.theme', dark.value ? 'dark' : 'light')
}
