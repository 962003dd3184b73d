/** /logs/: the files of the node's log directory, as a tree of pages. Nothing outside of it, links that lead out included. */
import { createReadStream } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { failure } from '../../api/status.ts'

/** A longer directory is shown in part. */
const MAX_ENTRIES = 10_000

const notThere = () => failure('NotFound', '404 page not found\n')

export async function serveLogFile(directory: string, parts: readonly string[], response: ServerResponse): Promise<void> {
  if (parts.length === 0) return redirect(response, 'logs/')
  const root = await found(directory)
  const path = await found(join(root, ...parts))
  if (path !== root && !path.startsWith(root + sep)) throw notThere()
  const info = await stat(path)
  const isOpen = parts.at(-1) === ''
  if (info.isDirectory()) {
    if (!isOpen) return redirect(response, `${encodeURIComponent(parts.at(-1)!)}/`)
    const entries = await readdir(path, { withFileTypes: true })
    const names = entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).toSorted()
    const links = names.slice(0, MAX_ENTRIES).map((name) => `<a href="${encodeURI(name)}">${escape(name)}</a>\n`)
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(`<pre>\n${links.join('')}</pre>\n`)
    return
  }
  if (!info.isFile() || isOpen) throw notThere()
  response.writeHead(200, { 'Content-Type': 'text/plain; charset=utf-8' })
  await pipeline(createReadStream(path), response)
}

async function found(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (error) {
    if (
      ['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE'].includes(
        (error as NodeJS.ErrnoException).code ?? '',
      )
    )
      throw notThere()
    throw error
  }
}

function redirect(response: ServerResponse, to: string): void {
  response.writeHead(301, { Location: to, 'Content-Length': 0 }).end()
}

const escape = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&#34;')
