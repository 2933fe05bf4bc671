// The console's API over the mock's state, and POST /mock for tests: {"do": "reset" | "store" | "write", ...}.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ApiError, App, ConsoleEvent, DryRun, Effective, Fault, FieldDescription, Kind, ResourceNode, Rule, RuleList, Series, Top, User, Warning } from '../src/api/types'
import { kinds } from './kinds'
import { allKinds, fresh, minute, node, record, traffic, type MockApp, type State } from './state'

class Refused extends Error {
  constructor(readonly status: number, readonly error: ApiError) { super(error.message) }
}
interface Call { method: string; parts: string[]; query: URLSearchParams; body: Record<string, unknown>; user: User | null; zh: boolean; response: ServerResponse }

let state: State = fresh()
const listeners = new Set<ServerResponse>()

const say = (call: { zh: boolean }, en: string, zh: string) => (call.zh ? zh : en)
const refuse = (status: number, code: ApiError['code'], message: string, more: Partial<ApiError> = {}) => new Refused(status, { code, message, ...more })
const tell = (event: ConsoleEvent) => listeners.forEach((l) => l.write(`data: ${JSON.stringify(event)}\n\n`))
const read = (rule: Record<string, unknown>, name: string): unknown => name.split('.').reduce<unknown>((o, k) => (o as Record<string, unknown> | undefined)?.[k], rule)

function check(call: Call, kind: Kind, rules: Rule[]): Fault[] {
  const faults: Fault[] = []
  const walk = (fields: FieldDescription[], object: Record<string, unknown>, index: number, prefix: string) => {
    for (const f of fields) {
      const shown = (f.shown_when ?? []).every((c) => {
        const other = fields.find((x) => x.name === c.field)
        return c.in.includes((read(object, c.field) ?? other?.default) as never)
      })
      if (!shown) continue
      const value = read(object, f.name)
      const add = (en: string, zh: string) => faults.push({ index, field: prefix + f.name, message: say(call, en, zh) })
      if (value === undefined || value === null || value === '' || (f.type === 'list' && f.required && (value as unknown[]).length === 0)) {
        if (f.required) add('must not be empty', '不能为空')
      } else if ((f.type === 'number' || f.type === 'integer') && (typeof value !== 'number' || (f.type === 'integer' && !Number.isInteger(value)))) {
        add(f.type === 'integer' ? 'must be a whole number' : 'must be a number', f.type === 'integer' ? '必须是整数' : '必须是数字')
      } else if (f.min !== undefined && (value as number) < f.min) {
        add(`must be at least ${f.min}, is ${String(value)}`, `不能小于 ${f.min}，当前为 ${String(value)}`)
      } else if (f.max !== undefined && (value as number) > f.max) {
        add(`must be at most ${f.max}, is ${String(value)}`, `不能大于 ${f.max}，当前为 ${String(value)}`)
      } else if (f.items) {
        ;(value as Record<string, unknown>[]).forEach((item, i) => walk(f.items!, item, index, `${prefix}${f.name}[${i}].`))
      }
    }
  }
  rules.forEach((rule, index) => walk(kinds.find((k) => k.kind === kind)!.fields, rule, index, ''))
  return faults
}

function warnings(call: Call, a: MockApp, kind: Kind, rules: Rule[]): Warning[] {
  const out: Warning[] = []
  rules.forEach((rule, index) => {
    const add = (code: Warning['code'], en: string, zh: string) => out.push({ kind, index, code, message: say(call, en, zh) })
    if (!rule.enabled) return
    if (rule.count === 0) add('zero', 'The threshold is 0: every call is blocked.', '阈值为 0：所有调用都会被拒绝。')
    if (typeof rule.resource === 'string' && !rule.regex && a.resources.length && !a.resources.some((r) => r.name === rule.resource)) {
      add('unknown_resource', 'No client has reported this resource in the last minute.', '最近一分钟没有客户端上报该资源。')
    }
    if (rules.some((other, i) => i < index && other.enabled && JSON.stringify(other) === JSON.stringify(rule))) add('duplicate', 'The same rule stands above.', '上方已有完全相同的规则。')
    if (rule.clusterMode) add('cluster', 'There is no token server: clients count for themselves.', '没有 Token Server，客户端将退化为单机计数。')
  })
  return out
}

function find(call: Call, name: string): MockApp {
  const found = state.apps[name]
  if (!found) throw refuse(404, 'not_found', say(call, `There is no app "${name}". Apps appear when a client sends its first heartbeat.`, `没有名为 "${name}" 的应用，客户端首次心跳后应用才会出现。`))
  return found
}

function mayChange(call: Call, app: string): void {
  const u = call.user!
  if (u.role === 'admin' || (u.role === 'editor' && (u.apps.includes('*') || u.apps.includes(app)))) return
  throw refuse(403, 'forbidden', say(call, `You may look at ${app}, not change it. Ask an admin for the role "editor" for this app.`, `你只能查看 ${app}，不能修改。请向管理员申请该应用的 editor 角色。`))
}

function write(call: Call, app: string, kind: Kind, comment: string, expected: unknown, rules: Rule[], overwrite: boolean): RuleList {
  mayChange(call, app)
  const list = find(call, app).rules[kind]
  if (!state.store.reachable || !state.store.writable) throw refuse(503, 'unavailable', state.store.detail)
  if (list.version !== expected) {
    throw refuse(409, 'conflict', say(call, 'Somebody else has stored other rules since you read them.', '你读取之后，其他人已保存了新的规则。'), { stored: list })
  }
  if (list.garbage && !overwrite) throw refuse(422, 'garbage', say(call, 'What is stored can not be read; decide first what happens to it.', '存储中的内容无法解析，请先决定如何处理。'))
  const faults = check(call, kind, rules)
  if (faults.length) throw refuse(400, 'invalid', say(call, 'The rules have faults; nothing was stored.', '规则有误，未保存任何内容。'), { faults })
  return put(app, kind, call.user!.name, 'console', comment, rules)
}

function put(app: string, kind: Kind, user: string, source: 'console' | 'outside', comment: string, rules: Rule[]): RuleList {
  const a = state.apps[app]
  record(state, app, kind, user, source, comment, a.rules[kind].rules, rules)
  const list: RuleList = { app, kind, version: String(state.next), rules, garbage: null }
  a.rules[kind] = list
  for (const m of a.machines) if (m.healthy && m.state[kind] === 'same') m.loaded[kind] = rules.filter((r) => r.enabled).length
  state.audit.unshift({ id: ++state.next, time: Date.now(), user, address: '127.0.0.1', action: 'rules.write', target: `${app}/${kind}`, ok: true, detail: comment })
  tell({ type: 'rules', app, kind, version: list.version })
  return list
}

function dryRun(a: MockApp, rule: Rule, call: Call): DryRun {
  const to = Date.now() - (Date.now() % minute)
  const from = to - 60 * minute
  const seen = a.resources.find((r) => r.name === rule.resource)
  const out: DryRun = { resource: String(rule.resource ?? ''), from, to, requests: 0, would_block: 0, blocked: 0, by_minute: [], note: '' }
  for (let time = from; time < to; time += minute) {
    const one = { time, requests: 0, would_block: 0 }
    for (let s = 0; seen && s < 60; s++) {
      const t = traffic(seen, time / 1000 + s)
      one.requests += t.pass + t.block
      one.would_block += Math.max(0, t.pass + t.block - Number(rule.count ?? 0))
      out.blocked += t.block
    }
    out.requests += one.requests
    out.would_block += one.would_block
    out.by_minute.push(one)
  }
  if (rule.limitApp && rule.limitApp !== 'default') out.note = say(call, 'Origins are not kept; every request was counted.', '未保存来源信息，按全部请求计算。')
  return out
}

function series(a: MockApp, query: URLSearchParams): Series {
  const step = Number(query.get('step') ?? 1)
  const to = Math.floor(Number(query.get('to') ?? Date.now()) / 1000 / step) * step
  const from = Math.floor(Number(query.get('from') ?? (to - 300) * 1000) / 1000 / step) * step
  const wanted = a.resources.filter((r) => !query.get('resource') || r.name === query.get('resource'))
  const out: Series = { step, times: [], pass: [], block: [], success: [], exception: [], rt: [] }
  for (let s = from; s < to; s += step) {
    const sum = { pass: 0, block: 0, exception: 0, rt: 0 }
    for (const r of wanted) {
      const t = traffic(r, s)
      sum.pass += t.pass * step
      sum.block += t.block * step
      sum.exception += t.exception * step
      sum.rt += t.rt * t.pass * step
    }
    out.times.push(s * 1000)
    out.pass.push(sum.pass)
    out.block.push(sum.block)
    out.success.push(sum.pass - sum.exception)
    out.exception.push(sum.exception)
    out.rt.push(sum.pass ? Math.round((sum.rt / sum.pass) * 10) / 10 : 0)
  }
  return out
}

function top(a: MockApp, query: URLSearchParams): Top[] {
  const seconds = Number(query.get('seconds') ?? 60)
  const now = Math.floor(Date.now() / 1000)
  const step = Math.max(1, Math.floor(seconds / 120))
  return a.resources.filter((r) => r.name.toLowerCase().includes((query.get('search') ?? '').toLowerCase())).map((r) => {
    const one = { resource: r.name, pass: 0, block: 0, success: 0, exception: 0, rt: 0, pass_qps: 0, block_qps: 0 }
    for (let s = now - seconds; s < now; s += step) {
      const t = traffic(r, s)
      one.pass += t.pass * step
      one.block += t.block * step
      one.exception += t.exception * step
      one.rt = t.rt
      one.pass_qps = t.pass
      one.block_qps = t.block
    }
    one.success = one.pass - one.exception
    return one
  }).sort((x, y) => y.pass + y.block - x.pass - x.block).slice(0, Number(query.get('limit') ?? 30))
}

function resources(a: MockApp): { tree: ResourceNode[]; list: ResourceNode[] } {
  const branch = (parent: string): ResourceNode[] => a.resources.filter((r) => r.context === parent).map((r) => node(a, r, branch(r.name)))
  const names = new Set(a.resources.map((r) => r.name))
  const roots = [...new Set(a.resources.map((r) => r.context))].filter((c) => !names.has(c))
  const sum = (list: ResourceNode[], key: 'pass_qps' | 'block_qps' | 'success_qps' | 'exception_qps' | 'threads' | 'minute_pass' | 'minute_block') => list.reduce((n, x) => n + x[key], 0)
  const tree = roots.map((context) => {
    const children = branch(context)
    return {
      resource: context, type: 0, rt: children[0]?.rt ?? 0, rules: {}, children,
      threads: sum(children, 'threads'), pass_qps: sum(children, 'pass_qps'), block_qps: sum(children, 'block_qps'), success_qps: sum(children, 'success_qps'),
      exception_qps: sum(children, 'exception_qps'), minute_pass: sum(children, 'minute_pass'), minute_block: sum(children, 'minute_block'),
    }
  })
  return { tree, list: a.resources.map((r) => node(a, r)) }
}

function effective(a: MockApp, name: string, call: Call): Effective {
  const rules: Effective['rules'] = []
  for (const kind of allKinds) {
    a.rules[kind].rules.forEach((rule, index) => {
      const how = rule.resource === name ? 'exact' : rule.regex && new RegExp(`^(?:${String(rule.resource)})$`).test(name) ? 'regex' : kind === 'system' ? 'default' : null
      if (!how) return
      rules.push({ kind, index, rule, how, obeyed: rule.enabled, note: rule.enabled ? '' : say(call, 'The rule is disabled.', '规则已停用。') })
    })
  }
  const order = ['exact', 'prefix', 'regex', 'default']
  rules.sort((x, y) => order.indexOf(x.how) - order.indexOf(y.how))
  return { resource: name, rules }
}

function summary(name: string, a: MockApp): App {
  const now = Math.floor(Date.now() / 1000)
  const t = a.resources.map((r) => traffic(r, now))
  return {
    name, app_type: a.type, machines: a.machines.length, healthy: a.machines.filter((m) => m.healthy).length,
    rules: Object.fromEntries(allKinds.map((k) => [k, a.rules[k].rules.length])) as App['rules'], garbage: allKinds.filter((k) => a.rules[k].garbage),
    drift: a.machines.filter((m) => Object.values(m.state).includes('differs')).length, pass_qps: t.reduce((n, x) => n + x.pass, 0), block_qps: t.reduce((n, x) => n + x.block, 0),
  }
}

function session(call: Call): unknown {
  if (call.parts[1] === 'password') {
    const u = state.users.find((x) => x.name === call.user?.name)
    if (!u) throw refuse(401, 'unauthenticated', say(call, 'Log in first.', '请先登录。'))
    if (u.password !== call.body.old) throw refuse(400, 'invalid', say(call, 'The password was not changed.', '密码未修改。'), { faults: [{ index: -1, field: 'old', message: say(call, 'is not your password', '当前密码不正确') }] })
    if (String(call.body.new).length < 8) throw refuse(400, 'invalid', say(call, 'The password was not changed.', '密码未修改。'), { faults: [{ index: -1, field: 'new', message: say(call, 'must have at least 8 characters', '至少 8 个字符') }] })
    u.password = String(call.body.new)
    u.must_change = false
    return {}
  }
  if (call.method === 'POST') {
    const u = state.users.find((x) => x.name === call.body.username && x.password === call.body.password)
    if (!u) {
      if (++state.failures > 5) throw refuse(429, 'throttled', say(call, 'Too many wrong passwords. Try again in a minute.', '密码错误次数过多，请一分钟后再试。'))
      throw refuse(401, 'unauthenticated', say(call, 'The name or the password is wrong. The first password was printed when the console started for the first time.', '用户名或密码错误。初始密码在控制台首次启动时打印。'))
    }
    state.failures = 0
    const id = Math.random().toString(36).slice(2)
    state.sessions.set(id, u.name)
    call.response.setHeader('Set-Cookie', `fairlead_session=${id}; HttpOnly; SameSite=Strict; Path=/`)
    u.last_login = Date.now()
    return { user: shown(u), must_change_password: u.must_change }
  }
  if (!call.user) throw refuse(401, 'unauthenticated', say(call, 'Log in first.', '请先登录。'))
  if (call.method === 'DELETE') {
    call.response.setHeader('Set-Cookie', 'fairlead_session=; Max-Age=0; Path=/')
    return {}
  }
  return { user: call.user, must_change_password: state.users.find((x) => x.name === call.user!.name)!.must_change }
}

const shown = ({ name, role, apps, created, last_login }: User): User => ({ name, role, apps, created, last_login })

function users(call: Call): unknown {
  if (call.user!.role !== 'admin') throw refuse(403, 'forbidden', say(call, 'Only admins see users.', '只有管理员可以管理用户。'))
  const { method, body } = call
  if (method === 'GET') return state.users.map(shown)
  if (method === 'POST') {
    const faults: Fault[] = []
    if (!/^[\w.-]{1,64}$/.test(String(body.name))) faults.push({ index: -1, field: 'name', message: say(call, 'letters, digits, dots and dashes, at most 64', '只能包含字母、数字、点和横线，最多 64 个字符') })
    if (state.users.some((u) => u.name === body.name)) faults.push({ index: -1, field: 'name', message: say(call, 'exists already', '已存在') })
    if (String(body.password ?? '').length < 8) faults.push({ index: -1, field: 'password', message: say(call, 'must have at least 8 characters', '至少 8 个字符') })
    if (faults.length) throw refuse(400, 'invalid', say(call, 'The user was not created.', '用户未创建。'), { faults })
    const u = { name: String(body.name), role: body.role as User['role'], apps: body.apps as string[], created: Date.now(), last_login: null, password: String(body.password), must_change: true }
    state.users.push(u)
    return shown(u)
  }
  const u = state.users.find((x) => x.name === call.parts[1])
  if (!u) throw refuse(404, 'not_found', say(call, 'There is no such user.', '没有该用户。'))
  const last = u.role === 'admin' && state.users.filter((x) => x.role === 'admin').length === 1
  if (last && (method === 'DELETE' || (body.role && body.role !== 'admin'))) {
    throw refuse(400, 'invalid', say(call, 'This is the last admin. Make somebody else an admin first.', '这是最后一个管理员，请先指定其他管理员。'))
  }
  if (method === 'DELETE') state.users.splice(state.users.indexOf(u), 1)
  else Object.assign(u, body.role && { role: body.role }, body.apps && { apps: body.apps }, body.password && { password: body.password, must_change: true })
  return shown(u)
}

function rules(call: Call, app: string, kind: Kind): unknown {
  const a = find(call, app)
  const action = call.parts[4]
  const sent = call.body.rules as Rule[]
  if (call.method === 'GET') return a.rules[kind]
  if (call.method === 'PUT') return write(call, app, kind, String(call.body.comment ?? ''), call.body.expected, sent, call.body.overwrite_garbage === true)
  if (action === 'check') return { faults: check(call, kind, sent), warnings: warnings(call, a, kind, sent) }
  if (action === 'dry-run') return dryRun(a, call.body.rule as Rule, call)
  const change = a.changes.find((c) => c.id === call.body.change)
  if (!change || !Array.isArray(change.after)) throw refuse(404, 'not_found', say(call, 'There is no such change.', '没有该变更记录。'))
  return write(call, app, kind, say(call, `back to change ${change.id}`, `回滚到变更 ${change.id}`), call.body.expected, change.after, true)
}

function appCall(call: Call): unknown {
  const [, name, what, a3] = call.parts
  const { method, query } = call
  const a = find(call, name)
  switch (what) {
    case undefined:
      mayChange(call, name)
      if (a.machines.some((m) => m.healthy) || allKinds.some((k) => a.rules[k].rules.length)) {
        throw refuse(400, 'invalid', say(call, 'The app has live machines or rules. Stop its clients and delete its rules first.', '应用仍有在线机器或规则，请先停止客户端并删除规则。'))
      }
      delete state.apps[name]
      return {}
    case 'machines': {
      if (!a3) return a.machines
      const m = a.machines.find((x) => x.id === a3)
      if (!m) throw refuse(404, 'not_found', say(call, 'There is no such machine.', '没有该机器。'))
      if (method === 'DELETE') {
        mayChange(call, name)
        a.machines.splice(a.machines.indexOf(m), 1)
        tell({ type: 'machines', app: name })
        return {}
      }
      if (m.problem) throw refuse(503, 'unavailable', m.problem)
      const kind = call.parts[5] as Kind
      const stored = a.rules[kind].rules.filter((r) => r.enabled)
      const loaded = a.loaded[m.id]?.[kind] ?? stored
      const has = (list: Rule[], rule: Rule) => list.some((r) => JSON.stringify(r) === JSON.stringify(rule))
      return { rules: loaded, difference: { missing: stored.filter((r) => !has(loaded, r)), extra: loaded.filter((r) => !has(stored, r)) } }
    }
    case 'rules': return rules(call, name, a3 as Kind)
    case 'warnings': return allKinds.flatMap((k) => warnings(call, a, k, a.rules[k].rules))
    case 'effective': return effective(a, query.get('resource') ?? '', call)
    case 'resources': return { time: Date.now(), ...resources(a), problems: a.machines.filter((m) => m.problem).map((m) => m.problem) }
    case 'metrics': return series(a, query)
    case 'top': return top(a, query)
    case 'history': {
      if (a3) return a.changes.find((c) => c.id === Number(a3)) ?? (() => { throw refuse(404, 'not_found', say(call, 'There is no such change.', '没有该变更记录。')) })()
      const before = Number(query.get('before') ?? Infinity)
      return a.changes.filter((c) => (!query.get('kind') || c.kind === query.get('kind')) && c.id < before).slice(0, Number(query.get('limit') ?? 50))
        .map(({ before: _before, after: _after, ...rest }) => rest)
    }
    case 'export': return { app: name, exported: Date.now(), rules: Object.fromEntries(allKinds.filter((k) => a.rules[k].rules.length).map((k) => [k, a.rules[k].rules])) }
    case 'import': {
      const document = call.body.document as { rules: Partial<Record<Kind, Rule[]>> }
      const changed = allKinds.filter((k) => document.rules?.[k])
      for (const k of changed) {
        const old = call.body.mode === 'merge' ? a.rules[k].rules : []
        const added = document.rules[k]!.filter((r) => !old.some((o) => JSON.stringify(o) === JSON.stringify(r)))
        write(call, name, k, String(call.body.comment ?? ''), a.rules[k].version, [...old, ...added], false)
      }
      return { changed }
    }
    default: throw refuse(404, 'not_found', call.parts.join('/'))
  }
}

function answer(call: Call): unknown {
  const [room, second] = call.parts
  if (room === 'session') return session(call)
  if (room === 'about') return call.user ? { version: '0.1.0', store: state.store, registration_secret: false } : { version: '0.1.0' }
  if (!call.user) throw refuse(401, 'unauthenticated', say(call, 'Log in first.', '请先登录。'))
  if (room === 'rule-kinds') return kinds
  if (room === 'users') return users(call)
  if (room === 'apps') return second === undefined ? Object.entries(state.apps).map(([n, a]) => summary(n, a)) : appCall(call)
  if (room === 'audit') {
    if (call.user.role !== 'admin') throw refuse(403, 'forbidden', say(call, 'Only admins see the audit.', '只有管理员可以查看审计。'))
    const before = Number(call.query.get('before') ?? Infinity)
    return state.audit.filter((x) => x.id < before && (!call.query.get('user') || x.user === call.query.get('user'))).slice(0, Number(call.query.get('limit') ?? 50))
  }
  throw refuse(404, 'not_found', `/api/${call.parts.join('/')}`)
}

function control(body: Record<string, unknown>): void {
  if (body.do === 'reset') state = Object.assign(fresh(), { sessions: state.sessions })
  if (body.do === 'store') {
    state.store = { ...state.store, reachable: body.reachable as boolean, writable: body.writable as boolean, detail: String(body.detail) }
    tell({ type: 'store', health: state.store })
  }
  if (body.do === 'write') put(String(body.app), body.kind as Kind, '', 'outside', '', body.rules as Rule[])
}

export async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url!, 'http://mock')
  let raw = ''
  for await (const chunk of request) raw += String(chunk)
  const body = raw ? (JSON.parse(raw) as Record<string, unknown>) : {}
  if (url.pathname === '/mock') {
    control(body)
    response.end('{}')
    return
  }
  const id = /fairlead_session=(\w+)/.exec(request.headers.cookie ?? '')?.[1]
  const user = state.users.find((u) => u.name === state.sessions.get(id ?? ''))
  const call: Call = {
    method: request.method!, parts: url.pathname.split('/').slice(2).map(decodeURIComponent), query: url.searchParams, body, user: user ? shown(user) : null,
    zh: (request.headers['accept-language'] ?? '').startsWith('zh'), response,
  }
  if (url.pathname === '/api/events' && user) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    response.write(': hello\n\n')
    listeners.add(response)
    request.on('close', () => listeners.delete(response))
    return
  }
  response.setHeader('Content-Type', 'application/json')
  try {
    response.end(JSON.stringify(answer(call)))
  } catch (e) {
    const refused = e instanceof Refused ? e : refuse(500, 'internal', String(e))
    response.statusCode = refused.status
    response.end(JSON.stringify({ error: refused.error }))
  }
}
