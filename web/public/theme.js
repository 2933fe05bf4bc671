// Before the first paint: the theme that was chosen, or the system's.
(function () {
  var chosen = null
  try { chosen = localStorage.getItem('fairlead.theme') } catch (e) { /* storage is off: the system's theme */ }
  var dark = chosen ? chosen === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches
  document.documentElement.classList.toggle('dark', dark)
})()
