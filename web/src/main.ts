import { createApp } from 'vue'
import { whenSignedOut } from './api/client'
import App from './App.vue'
import { router } from './router'
import { forget } from './state/session'
import './styles/element'
import './styles/console.css'

whenSignedOut(() => {
  forget()
  void router.push({ name: 'login', query: { next: router.currentRoute.value.fullPath } })
})
createApp(App).use(router).mount('#app')
