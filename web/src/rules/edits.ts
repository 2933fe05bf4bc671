// A change of a list of rules that can be made again on another list: after a conflict it is put on top of what is stored by then.
import type { Rule } from '../api/types'
import { same } from './model'

export interface Edit { comment: string; apply: (rules: Rule[]) => Rule[] }

export const add = (rules: Rule[], comment: string): Edit => ({ comment, apply: (list) => [...list, ...rules] })

// Puts `after` in the place of `before`; if somebody has changed that rule, in the place of the only one with the same name, or at the end.
export function replace(before: Rule, after: Rule, key: string, comment: string): Edit {
  return {
    comment,
    apply: (list) => {
      let at = list.findIndex((rule) => same(rule, before))
      if (at < 0) {
        const named = list.flatMap((rule, i) => (key === '' || rule[key] === before[key] ? [i] : []))
        if (named.length === 1) at = named[0]
      }
      return at < 0 ? [...list, after] : list.map((rule, i) => (i === at ? after : rule))
    },
  }
}

export const drop = (gone: Rule[], comment: string): Edit => ({ comment, apply: (list) => list.filter((rule) => !gone.some((g) => same(g, rule))) })

export function enable(chosen: Rule[], on: boolean, comment: string): Edit {
  return { comment, apply: (list) => list.map((rule) => (chosen.some((c) => same(c, rule)) ? { ...rule, enabled: on } : rule)) }
}

export const setAll = (rules: Rule[], comment: string): Edit => ({ comment, apply: () => rules })
