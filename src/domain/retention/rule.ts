/**
 * Which archives of a guest may go. The host says which ones its options would remove; this rule only ever takes archives out of
 * that list, never puts one in: the newest K proven ones stay whatever their age, and so does everything that is not beyond doubt.
 */
import { sizeInWords } from '../judge/words.js'
import { instant } from '../render/quantities.js'
import { type Archive, type Decision, type GuestArchives, isProven, type Why } from './archive.js'

/** Newest first; of two begun in one second the names decide, so that every planning gives one order. */
export function newestFirst(archives: readonly Archive[]): Archive[] {
  return [...archives].sort((a, b) => b.startedSeconds - a.startedSeconds || (a.volid < b.volid ? 1 : -1))
}

/** The newest K proven archives: these are never removed. */
export function guardedArchives(group: GuestArchives): Archive[] {
  return newestFirst(group.archives.filter(isProven)).slice(0, Math.max(1, group.provenCopies))
}

/** Decides on every archive of a guest, newest first. The sentences hold no ages: the same plan made again later reads the same. */
export function decide(group: GuestArchives): Decision[] {
  const guarded = guardedArchives(group)
  const wanted = Math.max(1, group.provenCopies)
  return newestFirst(group.archives).map((archive) => {
    const stay = (why: Why, sentence: string): Decision => ({ archive, removes: false, why, sentence: `stays: ${sentence}` })
    if (archive.isProtected) return stay('protected', 'it is protected on the host')
    if (!archive.hasStandardName || archive.marks.some(({ mark }) => mark === 'renamed')) return stay('renamed', 'its name is not one that vzdump gives')
    if (archive.altered !== null) return stay('altered', archive.altered)
    const place = guarded.indexOf(archive)
    if (place === 0) return stay('newest_proven', `it is the newest proven one (level ${archive.proofLevel})`)
    if (place > 0) return stay('proven_copies', `it is one of the ${wanted} newest proven ones that are always left`)
    const host = hostKeeps(archive)
    if (host !== null) return stay(host.why, host.sentence)
    if (group.heldBack !== null) return stay('held_back', group.heldBack)
    if (group.isRunning !== false) {
      return stay('running', group.isRunning ? 'a backup of this guest is at work' : 'whether a backup of this guest is at work could not be read')
    }
    if (archive.incomplete !== null) return stay('unfinished', archive.incomplete)
    if (guarded.length < wanted) {
      return stay('too_few_proven', `the host would remove it, but only ${guarded.length} of ${wanted} proven copies are there`)
    }
    const earlier = archive.isOfEarlierGuest ? ', of an EARLIER guest with this number' : ''
    const options = [...new Set(archive.marks.map(({ of }) => of))].join(' and ')
    return {
      archive,
      removes: true,
      why: 'remove',
      sentence: `goes: the host would remove it by the options of ${options} (${sizeInWords(archive.sizeBytes)}, begun ${instant(new Date(archive.startedSeconds * 1000).toISOString())}${earlier}); ${guarded.length} newer or proven copies stay`,
    }
  })
}

/** The host says remove only when it was asked with every set of options that holds for the guest, and each answer was `remove`. */
function hostKeeps(archive: Archive): { why: Why; sentence: string } | null {
  if (archive.marks.length === 0) return { why: 'host_not_asked', sentence: 'no retention holds for it' }
  const unanswered = archive.marks.find((each) => each.unanswered !== undefined)
  if (unanswered) return { why: 'host_not_asked', sentence: `the host did not say what the options of ${unanswered.of} remove: ${unanswered.unanswered}` }
  const keeps = archive.marks.find(({ mark }) => mark !== 'remove')
  if (keeps?.mark === null) return { why: 'host_not_asked', sentence: `the host did not name it when asked with the options of ${keeps.of}` }
  return keeps ? { why: 'host_keeps', sentence: `the options of ${keeps.of} keep it` } : null
}

/**
 * The archives that have to be read to their end before anything of this guest may be removed: newest first, only as many as are missing.
 * Empty when the host would remove nothing here, when enough is proven, or when nothing is left that could be proven.
 */
export function toProve(group: GuestArchives): Archive[] {
  if (group.heldBack !== null || group.isRunning !== false) return []
  const wouldGo = group.archives.filter((archive) => !archive.isProtected && archive.hasStandardName && hostKeeps(archive) === null)
  if (wouldGo.length === 0) return []
  const provable = newestFirst(group.archives).filter(
    (archive) => archive.altered === null && archive.incomplete === null && archive.hasStandardName && !archive.isDamaged,
  )
  // The newest that can be proven, also when older ones are proven already: the K that stay are to be the newest K.
  return provable.slice(0, Math.max(1, group.provenCopies)).filter((archive) => !isProven(archive))
}
