/** Commands of scripts and crontabs that send something: by a mail program, past the host's Postfix, or to a service of messages. Pure. */
import { type Found, isAllowed, type RelayContext } from './finding.js'
import { type FoundFile, type FoundLine, linesOf, type RelayObservation } from './observation.js'

/** A finding for each file. @throws Unreadable */
export function judgeCommands(question: 'scripts' | 'cron commands', seen: RelayObservation, context: RelayContext): Found[] {
  const files = linesOf(seen, question).filter(({ path }) => !context.ownFiles.includes(path))
  return files.flatMap((file) => {
    const found = sendingOf(file, context)
    const place = question === 'scripts' ? file.path : `${file.path}: command`
    const fix = `let it mail root (sendmail root), or accept it under exceptions: in email-relay.yaml`
    return found.length === 0 ? [] : [{ place, found: [...new Set(found)].slice(0, 20).join('; '), fix }]
  })
}

function sendingOf(file: FoundFile, context: RelayContext): string[] {
  const lines = file.lines.map(partsOf)
  const mails = lines.some(({ of }) => of('mailer').length > 0)
  return lines.flatMap(({ line, of }) => {
    const at = `line ${line}: `
    // An address is a recipient where mail is sent, or where it is kept for that.
    const to = [...(mails ? of('assigned') : []), ...(of('mailer').length > 0 ? of('address') : [])].filter((address) => !isAllowed(address, context))
    const posts = of('post').length > 0 && of('messenger').length === 0
    return [
      ...(to.length > 0 ? [`${at}mails ${to.join(', ')}`] : []),
      ...of('direct').map((what) => `${at}sends past Postfix (${what})`),
      ...of('messenger').map((host) => `${at}posts to ${host}`),
      ...(posts ? [`${at}posts to ${of('link').join(', ') || 'an address that it does not name'}`] : []),
    ]
  })
}

/** Captures come as `name value name value`. */
function partsOf({ line, text }: FoundLine): { line: number; of: (name: string) => string[] } {
  const words = text.split(' ')
  return { line, of: (name) => words.flatMap((word, index) => (index % 2 === 0 && word === name ? [words[index + 1] ?? ''] : [])) }
}
