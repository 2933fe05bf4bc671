// node pack.mjs DIST OUT: gzips every file of DIST into OUT/web_assets.bin, one after another, and writes OUT/web_assets.cc, which has
// that file's bytes by .incbin (an array of a megabyte would keep the compiler busy for half a minute).
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { extname, join, relative } from 'node:path'
import { gzipSync } from 'node:zlib'

const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
}

const [dist, out] = process.argv.slice(2)
const files = (folder) =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)])

const parts = []
let offset = 0
const rows = files(dist).sort().map((file) => {
  const type = types[extname(file)]
  if (!type) throw new Error(`${file}: no content type for "${extname(file)}"; add it to web/tools/pack.mjs`)
  const bytes = readFileSync(file)
  const gzip = gzipSync(bytes, { level: 9 })
  const etag = createHash('sha256').update(bytes).digest('hex').slice(0, 16)
  const row = `    {"/${relative(dist, file)}", "${type}", {fairlead_web_bytes + ${offset}, ${gzip.length}}, R"("${etag}")"},`
  parts.push(gzip)
  offset += gzip.length
  return row
})
const bin = join(out, 'web_assets.bin')
writeFileSync(bin, Buffer.concat(parts))
writeFileSync(join(out, 'web_assets.cc'), `#include "console/web_assets.h"

asm(R"(
  .pushsection .rodata, "a"
  .global fairlead_web_bytes
fairlead_web_bytes:
  .incbin "${bin}"
  .popsection
)");
extern "C" const char fairlead_web_bytes[];

namespace fairlead {
std::span<const WebAsset> web_assets() {
  static const WebAsset assets[] = {
${rows.join('\n')}
  };
  return assets;
}
}  // namespace fairlead
`)
console.log(`console pages: ${parts.length} files, ${Math.round(offset / 1024)} KB gzipped`)
