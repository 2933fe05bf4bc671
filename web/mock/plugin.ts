// Serves the mock's API beside the pages, both in development (vite) and with what was built (vite preview). FAIRLEAD_CONSOLE=URL takes a
// real console instead.
import type { Connect, Plugin } from 'vite'
import { handle } from './server'

const middleware: Connect.NextHandleFunction = (request, response, next) => {
  if (request.url!.startsWith('/api/') || request.url === '/mock') handle(request, response).catch(next)
  else next()
}

export function mock(): Plugin {
  const real = process.env.FAIRLEAD_CONSOLE
  return {
    name: 'mock',
    config: () => (real ? { server: { proxy: { '/api': real } }, preview: { proxy: { '/api': real } } } : {}),
    configureServer: (server) => void (real || server.middlewares.use(middleware)),
    configurePreviewServer: (server) => void (real || server.middlewares.use(middleware)),
  }
}
