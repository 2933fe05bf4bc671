// What differs between two lists of rules, as people see it: rules that came, went, or have other values in some fields.
import type { Rule, RuleKindDescription } from '../api/types'
import { read, same, type Values } from './model'

export interface FieldChange { name: string; before: unknown; after: unknown }
export interface RuleChange { how: 'added' | 'removed' | 'changed'; rule: Rule; fields: FieldChange[] }

function leaves(object: Values, prefix = ''): string[] {
  return Object.entries(object).flatMap(([name, value]) =>
    typeof value === 'object' && value !== null && !Array.isArray(value) ? leaves(value as Values, `${prefix}${name}.`) : [prefix + name])
}

function changedFields(before: Rule, after: Rule): FieldChange[] {
  return [...new Set([...leaves(before), ...leaves(after)])]
    .map((name) => ({ name, before: read(before, name), after: read(after, name) }))
    .filter((change) => !same(change.before ?? null, change.after ?? null))
}

export function diff(kind: RuleKindDescription, before: Rule[], after: Rule[]): RuleChange[] {
  const gone = before.filter((rule) => !after.some((other) => same(rule, other)))
  const changes: RuleChange[] = []
  for (const rule of after.filter((one) => !before.some((other) => same(one, other)))) {
    // Of several with that name, the one that differs least is taken for the same rule.
    const candidates = gone.filter((old) => kind.key === '' || old[kind.key] === rule[kind.key]).sort((a, b) => changedFields(a, rule).length - changedFields(b, rule).length)
    const old = candidates[0]
    if (old) {
      gone.splice(gone.indexOf(old), 1)
      changes.push({ how: 'changed', rule, fields: changedFields(old, rule) })
    } else {
      changes.push({ how: 'added', rule, fields: changedFields({ enabled: true }, rule) })
    }
  }
  return [...changes, ...gone.map((rule): RuleChange => ({ how: 'removed', rule, fields: [] }))]
}
