// Rules as plain objects and what their kind's description says of them. Nothing here knows a field by name.
import type { Fault, FieldDescription, Rule, RuleKindDescription } from '../api/types'
import { number, say, t } from '../i18n'

export type Values = Record<string, unknown>

// "clusterConfig.flowId" reads a member of an object.
export function read(object: Values, name: string): unknown {
  return name.split('.').reduce<unknown>((at, part) => (at as Values | undefined | null)?.[part], object)
}

export function write(object: Values, name: string, value: unknown): void {
  const parts = name.split('.')
  const last = parts.pop() as string
  let at = object
  for (const part of parts) {
    if (typeof at[part] !== 'object' || at[part] === null) at[part] = {}
    at = at[part] as Values
  }
  if (value === null || value === undefined) delete at[last]
  else at[last] = value
}

export const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

export const valueOf = (object: Values, field: FieldDescription): unknown => read(object, field.name) ?? field.default

export function shown(object: Values, field: FieldDescription, fields: FieldDescription[]): boolean {
  return (field.shown_when ?? []).every((condition) => {
    const other = fields.find((f) => f.name === condition.field)
    if (other && !shown(object, other, fields)) return false
    return condition.in.includes((other ? valueOf(object, other) : read(object, condition.field)) as string)
  })
}

// The form's values: what the rule says, or the default.
export function draftOf(fields: FieldDescription[], source: Values): Values {
  const draft = copy(source)
  for (const field of fields) if (read(draft, field.name) === undefined && field.default !== null) write(draft, field.name, copy(field.default))
  return draft
}

// What is stored of a draft: fields that are shown; of the others what the rule had before; an object whose fields are all empty goes.
export function ruleOf(fields: FieldDescription[], draft: Values, original: Values): Rule {
  const rule = copy(original)
  for (const field of fields) {
    if (shown(draft, field, fields)) write(rule, field.name, copy(read(draft, field.name) ?? null))
  }
  for (const name of new Set(fields.filter((f) => f.name.includes('.')).map((f) => f.name.split('.')[0]))) {
    const members = fields.filter((f) => f.name.startsWith(name + '.'))
    if (!members.some((f) => shown(draft, f, fields) && read(draft, f.name) !== undefined && read(draft, f.name) !== '')) delete rule[name]
  }
  return { ...rule, enabled: rule.enabled !== false }
}

// Faults that need no server: a form shows them while one types.
export function faultOf(field: FieldDescription, value: unknown): string {
  if (value === undefined || value === null || value === '') return field.required ? t('fault.required') : ''
  if (field.type === 'number' || field.type === 'integer') {
    if (typeof value !== 'number') return t('fault.number')
    if (field.type === 'integer' && !Number.isInteger(value)) return t('fault.integer')
    if (field.min !== undefined && value < field.min) return t('fault.min', { min: field.min })
    if (field.max !== undefined && value > field.max) return t('fault.max', { max: field.max })
  }
  if (field.type === 'list' && field.required && Array.isArray(value) && value.length === 0) return t('fault.required')
  return ''
}

export function localFaults(fields: FieldDescription[], draft: Values, prefix = ''): Fault[] {
  const faults: Fault[] = []
  for (const field of fields) {
    if (!shown(draft, field, fields)) continue
    const value = read(draft, field.name)
    const message = faultOf(field, value)
    if (message) faults.push({ index: 0, field: prefix + field.name, message })
    if (field.items && Array.isArray(value)) {
      value.forEach((item, i) => faults.push(...localFaults(field.items ?? [], item as Values, `${prefix}${field.name}[${i}].`)))
    }
  }
  return faults
}

// A value as people read it: options by their title, numbers with their unit.
export function display(field: FieldDescription | undefined, value: unknown): string {
  if (value === undefined || value === null || value === '') return '–'
  const option = field?.options?.find((o) => o.value === value)
  if (option) return say(option.title)
  if (typeof value === 'boolean') return value ? t('value.yes') : t('value.no')
  if (typeof value === 'number') return number(value, 6) + (field?.unit ? ' ' + say(field.unit) : '')
  if (Array.isArray(value)) {
    return value.map((item) => (typeof item === 'object' && item ? (field?.items ?? []).map((f) => display(f, valueOf(item as Values, f))).join(' · ') || JSON.stringify(item) : String(item))).join('; ') || '–'
  }
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

export function nameOf(kind: RuleKindDescription, rule: Rule): string {
  return (kind.key && String(read(rule, kind.key) ?? '')) || say(kind.title)
}

function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => [k, canonical(v)]))
}
export const textOf = (value: unknown): string => JSON.stringify(canonical(value))
export const same = (a: unknown, b: unknown): boolean => textOf(a) === textOf(b)
