// Texts of the pages. The language is remembered; at first it is the browser's.
import { ref, watch } from 'vue'
import type { Text } from '../api/types'
import { en } from './en'
import { zh } from './zh'

export type Language = 'en' | 'zh'
export type Key = keyof typeof en

const stored = localStorage.getItem('fairlead.language')
export const language = ref<Language>(stored === 'en' || stored === 'zh' ? stored : navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en')

watch(language, (chosen) => {
  localStorage.setItem('fairlead.language', chosen)
})
watch(language, (chosen) => document.documentElement.setAttribute('lang', chosen === 'zh' ? 'zh-CN' : 'en'), { immediate: true })

const tables: Record<Language, Record<Key, string>> = { en, zh }

// "{name}" in a text is replaced by the value of that name.
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return tables[language.value][key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''))
}

// A text that the server sent in both languages.
export const say = (text: Text | undefined): string => text?.[language.value] ?? ''

const locale = () => (language.value === 'zh' ? 'zh-CN' : 'en-GB')

export const number = (value: number, digits = 1): string => value.toLocaleString(locale(), { maximumFractionDigits: digits })

export function moment(time: number): string {
  return new Date(time).toLocaleString(locale(), { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })
}

export function ago(time: number): string {
  const seconds = Math.max(0, Math.round((Date.now() - time) / 1000))
  const format = new Intl.RelativeTimeFormat(locale(), { numeric: 'always', style: 'short' })
  if (seconds < 60) return format.format(-seconds, 'second')
  if (seconds < 3600) return format.format(-Math.round(seconds / 60), 'minute')
  if (seconds < 86400) return format.format(-Math.round(seconds / 3600), 'hour')
  return format.format(-Math.round(seconds / 86400), 'day')
}
