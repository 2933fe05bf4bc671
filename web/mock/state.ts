// What the mock keeps: apps with rules, machines and traffic that is a function of time, so that every chart has something to show.
import type { Audit, Change, Kind, Machine, ResourceNode, Rule, RuleList, StoreHealth, User } from '../src/api/types'

export const allKinds: Kind[] = ['flow', 'degrade', 'param-flow', 'system', 'authority', 'gateway-flow', 'gateway-api']
export const minute = 60_000

export interface MockApp {
  type: number
  machines: Machine[]
  rules: Record<Kind, RuleList>
  loaded: Record<string, Partial<Record<Kind, Rule[]>>>   // machines that differ
  resources: Resource[]
  changes: Change[]
}
export interface Resource { name: string; context: string; type: number; base: number; capacity: number; rt: number; failing: number }

export interface State {
  apps: Record<string, MockApp>
  users: (User & { password: string; must_change: boolean })[]
  sessions: Map<string, string>
  failures: number
  store: StoreHealth
  audit: Audit[]
  next: number
}

const none = (): Record<Kind, Rule[]> => ({ flow: [], degrade: [], 'param-flow': [], system: [], authority: [], 'gateway-flow': [], 'gateway-api': [] })

function machine(ip: string, port: number, hostname: string, version: string, healthy: boolean): Machine {
  const state = Object.fromEntries(allKinds.map((k) => [k, k.startsWith('gateway') ? 'unsupported' : 'same'])) as Machine['state']
  return {
    id: `${ip}:${port}`, ip, port, hostname, version, pid: 4000 + port % 100, heartbeat: Date.now() - (healthy ? 4_000 : 12 * minute), healthy, state,
    loaded: Object.fromEntries(allKinds.map((k) => [k, null])) as Machine['loaded'],
    problem: healthy ? '' : `${ip}:${port} does not answer: connection refused. Is the process running, and may the console reach its port?`,
  }
}

function app(name: string, type: number, machines: Machine[], rules: Partial<Record<Kind, Rule[]>>, resources: Resource[], loaded: MockApp['loaded'] = {}): MockApp {
  const all = { ...none(), ...rules }
  const lists = Object.fromEntries(allKinds.map((kind) => [kind, { app: name, kind, version: all[kind].length ? '3' : '', rules: all[kind], garbage: null }])) as Record<Kind, RuleList>
  for (const m of machines) {
    for (const kind of allKinds) {
      if (m.state[kind] === 'unsupported' && type !== 0) m.state[kind] = 'same'
      if (m.state[kind] === 'unsupported') continue
      const other = loaded[m.id]?.[kind]
      m.loaded[kind] = m.healthy ? (other ?? all[kind].filter((r) => r.enabled)).length : null
      m.state[kind] = !m.healthy ? 'unknown' : other ? 'differs' : 'same'
    }
  }
  return { type, machines, rules: lists, loaded, resources, changes: [] }
}

const resource = (name: string, context: string, type: number, base: number, capacity: number, rt: number, failing = 0): Resource => ({ name, context, type, base, capacity, rt, failing })

export function fresh(): State {
  const now = Date.now()
  const flow = (r: string, count: number, more: Record<string, unknown> = {}): Rule =>
    ({ enabled: true, resource: r, limitApp: 'default', grade: 1, count, strategy: 0, controlBehavior: 0, clusterMode: false, ...more })
  const degrade = (r: string, grade: number, count: number, more: Record<string, unknown> = {}): Rule =>
    ({ enabled: true, resource: r, grade, count, timeWindow: 10, minRequestAmount: 5, statIntervalMs: 1000, ...more })

  const shop = app('shop-api', 0,
    [machine('10.0.3.11', 8719, 'shop-api-6d9f-x2klp', '1.8.8', true), machine('10.0.3.12', 8719, 'shop-api-6d9f-9wq4m', '1.8.8', true), machine('10.0.4.7', 8720, 'shop-api-old', '1.8.3', false)],
    {
      flow: [
        flow('GET:/orders', 120), flow('POST:/orders', 40, { controlBehavior: 1, warmUpPeriodSec: 20 }), flow('GET:/products/{id}', 300),
        flow('GET:/search', 80, { controlBehavior: 2, maxQueueingTimeMs: 300 }), flow('POST:/pay', 0, { enabled: false }), flow('GET:/orders', 20, { limitApp: 'crawler' }),
        flow('com.example.StockService:reserve(long,int)', 60, { grade: 0 }), flow('GET:/legacy/.*', 5, { regex: true }),
      ],
      degrade: [degrade('GET:/search', 0, 400, { slowRatioThreshold: 0.5 }), degrade('POST:/pay', 1, 0.3, { timeWindow: 30 }), degrade('com.example.StockService:reserve(long,int)', 2, 20)],
      'param-flow': [{ enabled: true, resource: 'GET:/products/{id}', paramIdx: 0, grade: 1, count: 50, durationInSec: 1, controlBehavior: 0, paramFlowItemList: [{ object: '1001', classType: 'long', count: 500 }] }],
      system: [{ enabled: true, highestSystemLoad: -1, avgRt: -1, maxThread: -1, qps: 2000, highestCpuUsage: 0.8 }],
      authority: [{ enabled: true, resource: 'POST:/pay', limitApp: 'web,mobile', strategy: 0 }],
    },
    [
      resource('GET:/orders', 'sentinel_spring_web_context', 1, 95, 140, 23), resource('POST:/orders', 'sentinel_spring_web_context', 1, 31, 40, 61, 0.004),
      resource('GET:/products/{id}', 'sentinel_spring_web_context', 1, 210, 300, 9), resource('GET:/search', 'sentinel_spring_web_context', 1, 72, 80, 180),
      resource('POST:/pay', 'sentinel_spring_web_context', 1, 12, 999, 240, 0.03), resource('GET:/cart', 'sentinel_spring_web_context', 1, 44, 999, 14),
      resource('com.example.StockService:reserve(long,int)', 'POST:/orders', 2, 30, 60, 17), resource('SELECT stock', 'POST:/orders', 4, 30, 999, 4),
      resource('user-cache', 'GET:/orders', 5, 88, 999, 1),
    ],
    { '10.0.3.12:8719': { flow: [flow('GET:/orders', 200), flow('GET:/old-report', 10)] } })

  const gateway = app('edge-gateway', 11,
    [machine('10.0.1.5', 8719, 'edge-gateway-0', '1.8.8', true), machine('10.0.1.6', 8719, 'edge-gateway-1', '1.8.8', true)],
    {
      'gateway-flow': [
        { enabled: true, resource: 'shop-route', resourceMode: 0, grade: 1, count: 500, intervalSec: 1, controlBehavior: 0, burst: 50 },
        { enabled: true, resource: 'public-api', resourceMode: 1, grade: 1, count: 20, intervalSec: 60, controlBehavior: 0, burst: 0, paramItem: { parseStrategy: 2, fieldName: 'X-Api-Key', pattern: '', matchStrategy: 0 } },
      ],
      'gateway-api': [{ enabled: true, apiName: 'public-api', predicateItems: [{ pattern: '/api/v1/**', matchStrategy: 1 }, { pattern: '/openapi.json', matchStrategy: 0 }] }],
    },
    [resource('shop-route', 'sentinel_gateway_context$$route$$shop-route', 3, 320, 500, 28), resource('public-api', 'sentinel_gateway_context$$route$$shop-route', 3, 40, 35, 31)])

  const dubbo = app('stock-dubbo', 0, [machine('10.0.5.21', 8719, 'stock-0', '1.8.8', true), machine('10.0.5.22', 8719, 'stock-1', '1.8.8', true), machine('10.0.5.23', 8719, 'stock-2', '1.8.8', true)],
    { flow: [flow('com.example.StockService', 400), flow('com.example.StockService:reserve(long,int)', 150, { limitApp: 'shop-api' })] },
    [resource('com.example.StockService', 'sentinel_dubbo_context', 2, 180, 400, 8), resource('com.example.StockService:reserve(long,int)', 'sentinel_dubbo_context', 2, 120, 150, 8)])

  const broken = app('billing', 0, [machine('10.0.6.2', 8719, 'billing-0', '1.8.6', true)], { flow: [flow('POST:/invoices', 25)], degrade: [] }, [resource('POST:/invoices', 'sentinel_spring_web_context', 1, 14, 25, 90)])
  broken.rules.flow.garbage = {
    text: '[\n  {"resource": "POST:/invoices", "count": 25, "grade": 1},\n  {"resource": "GET:/invoices", "count": "many"},\n  {"resource": "GET:/export" "count": 3}\n]\n',
    faults: [{ index: 1, field: 'count', message: 'line 3, column 42: must be a number' }, { index: -1, field: '', message: 'line 4, column 30: expected a comma or } after "GET:/export"' }],
  }
  const empty = app('new-service', 0, [machine('10.0.7.9', 8719, 'new-service-0', '1.8.8', true)], {}, [])

  const state: State = {
    apps: { 'shop-api': shop, 'edge-gateway': gateway, 'stock-dubbo': dubbo, billing: broken, 'new-service': empty },
    users: [
      { name: 'admin', role: 'admin', apps: ['*'], created: now - 90 * 1440 * minute, last_login: now - 3 * minute, password: 'fairlead-admin', must_change: false },
      { name: 'li.wei', role: 'editor', apps: ['shop-api', 'billing'], created: now - 40 * 1440 * minute, last_login: now - 1440 * minute, password: 'fairlead-li', must_change: false },
      { name: 'guest', role: 'viewer', apps: [], created: now - 10 * 1440 * minute, last_login: null, password: 'fairlead-guest', must_change: false },
      { name: 'fresh', role: 'viewer', apps: [], created: now, last_login: null, password: 'fairlead-fresh', must_change: true },
    ],
    sessions: new Map(), failures: 0, next: 1000,
    store: { name: 'zk:zk-1:2181,zk-2:2181,zk-3:2181/sentinel_rule_config', reachable: true, writable: true, detail: '' },
    audit: [],
  }
  const steps: [number, string, 'console' | 'outside', Kind, string, (r: Rule[]) => Rule[]][] = [
    [600, 'admin', 'console', 'flow', 'first limits', () => shop.rules.flow.rules.slice(0, 5).map((r) => ({ ...r, enabled: true }))],
    [300, 'li.wei', 'console', 'flow', 'the crawler gets less', (r) => [...r, shop.rules.flow.rules[5]]],
    [120, '', 'outside', 'flow', '', (r) => r.map((x, i) => (i === 0 ? { ...x, count: 90 } : x))],
    [45, 'li.wei', 'console', 'flow', 'back to 120 after the sale; payment is not limited here', () => shop.rules.flow.rules],
  ]
  let before: Rule[] = []
  for (const [ago, user, source, kind, comment, edit] of steps) {
    const after = edit(before)
    record(state, 'shop-api', kind, user, source, comment, before, after, now - ago * minute)
    before = after
  }
  for (const [i, action] of ['login', 'rules.write', 'rules.write', 'user.create', 'login'].entries()) {
    state.audit.unshift({
      id: i + 1, time: now - (50 - i * 9) * minute, user: i % 2 ? 'li.wei' : 'admin', address: '10.20.0.' + (14 + i), action, ok: i !== 4,
      target: action === 'rules.write' ? 'shop-api/flow' : action === 'user.create' ? 'guest' : '', detail: i === 4 ? 'wrong password' : '',
    })
  }
  return state
}

const same = (a: Rule, b: Rule) => JSON.stringify(a) === JSON.stringify(b)

export function record(state: State, app: string, kind: Kind, user: string, source: Change['source'], comment: string, before: Rule[], after: Rule[], time = Date.now()): void {
  const added = after.filter((r) => !before.some((b) => same(r, b)))
  const removed = before.filter((r) => !after.some((b) => same(r, b)))
  const changed = added.filter((a) => removed.some((r) => r.resource === a.resource)).length
  const id = ++state.next
  state.apps[app].changes.unshift({
    id, time, user, source, app, kind, comment, version: String(id), added: added.length - changed, removed: removed.length - changed, changed, before, after,
  })
}

// Traffic of a resource in one second.
export function traffic(r: Resource, second: number): { pass: number; block: number; exception: number; rt: number } {
  const seed = [...r.name].reduce((sum, c) => (sum * 31 + c.charCodeAt(0)) % 9973, 7)
  const noise = Math.abs(Math.sin(second * 12.9898 + seed) * 43758.5453) % 1
  const wave = 1 + 0.35 * Math.sin((second + seed) / 97) + 0.25 * Math.sin((second + seed * 3) / 1301)
  const rush = Math.max(0, Math.sin((second + seed * 7) / 240)) ** 8
  const wanted = Math.max(0, Math.round(r.base * (wave + 0.25 * (noise - 0.5) + 0.8 * rush)))
  const pass = Math.min(wanted, r.capacity)
  return { pass, block: wanted - pass, exception: Math.round(pass * r.failing * (0.5 + noise)), rt: Math.round(r.rt * (0.8 + 0.4 * noise + 0.5 * rush) * 10) / 10 }
}

export function node(a: MockApp, r: Resource, children: ResourceNode[] = []): ResourceNode {
  const now = Math.floor(Date.now() / 1000)
  const t = traffic(r, now)
  let pass = 0
  let block = 0
  for (let s = now - 60; s < now; s++) {
    const one = traffic(r, s)
    pass += one.pass
    block += one.block
  }
  const rules: ResourceNode['rules'] = {}
  for (const kind of allKinds) {
    const n = a.rules[kind].rules.filter((rule) => rule.resource === r.name).length
    if (n) rules[kind] = n
  }
  return {
    resource: r.name, type: r.type, threads: Math.round((t.pass * t.rt) / 1000), pass_qps: t.pass, block_qps: t.block, success_qps: t.pass, exception_qps: t.exception, rt: t.rt,
    minute_pass: pass, minute_block: block, rules, children,
  }
}
