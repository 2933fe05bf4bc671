import { createRouter, createWebHistory } from 'vue-router'
import { isAdmin, session, signedIn } from './state/session'

export const router = createRouter({
  history: createWebHistory(),
  routes: [
    { path: '/login', name: 'login', component: () => import('./pages/LoginPage.vue'), meta: { open: true } },
    {
      path: '/',
      component: () => import('./pages/AppShell.vue'),
      children: [
        { path: '', redirect: '/apps' },
        { path: 'apps', name: 'apps', component: () => import('./pages/AppsPage.vue') },
        { path: 'apps/:app', redirect: (to) => ({ name: 'metrics', params: to.params }) },
        { path: 'apps/:app/metrics', name: 'metrics', component: () => import('./pages/MetricsPage.vue'), props: true },
        { path: 'apps/:app/resources', name: 'resources', component: () => import('./pages/ResourcesPage.vue'), props: true },
        { path: 'apps/:app/rules/:kind', name: 'rules', component: () => import('./pages/RulesPage.vue'), props: true },
        { path: 'apps/:app/gateway/apis', name: 'gateway-api', component: () => import('./pages/RulesPage.vue'), props: (to) => ({ app: to.params.app, kind: 'gateway-api' }) },
        { path: 'apps/:app/gateway/rules', name: 'gateway-flow', component: () => import('./pages/RulesPage.vue'), props: (to) => ({ app: to.params.app, kind: 'gateway-flow' }) },
        { path: 'apps/:app/machines', name: 'machines', component: () => import('./pages/MachinesPage.vue'), props: true },
        { path: 'apps/:app/history', name: 'history', component: () => import('./pages/HistoryPage.vue'), props: true },
        { path: 'audit', name: 'audit', component: () => import('./pages/AuditPage.vue'), meta: { admin: true } },
        { path: 'users', name: 'users', component: () => import('./pages/UsersPage.vue'), meta: { admin: true } },
        { path: ':rest(.*)*', name: 'lost', component: () => import('./pages/LostPage.vue') },
      ],
    },
  ],
})

router.beforeEach(async (to) => {
  if (to.meta.open) return session.value && to.name === 'login' ? { name: 'apps' } : true
  if (!(await signedIn())) return { name: 'login', query: to.fullPath === '/' ? {} : { next: to.fullPath } }
  if (to.meta.admin && !isAdmin.value) return { name: 'apps' }
  return true
})
