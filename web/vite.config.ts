import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vite'
import { mock } from './mock/plugin'

export default defineConfig({
  plugins: [vue(), mock()],
  build: {
    target: 'es2021',
    chunkSizeWarningLimit: 700,
  },
})
