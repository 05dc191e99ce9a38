/** Abort signals that many commands listen to. */

/**
 * One listener per signal calls all callbacks: with a listener per command, Node would warn of a
 * leak.
 */
const listeners = new WeakMap<AbortSignal, { calls: Set<() => void>; listener: () => void }>();

/** Calls `call` when `signal` is aborted. Returns a function that removes the callback. */
export function onAbort(signal: AbortSignal, call: () => void): () => void {
  let shared = listeners.get(signal);
  if (shared === undefined) {
    const calls = new Set<() => void>();
    shared = {
      calls,
      listener() {
        listeners.delete(signal);
        for (const one of calls) one();
      },
    };
    listeners.set(signal, shared);
    signal.addEventListener('abort', shared.listener, { once: true });
  }
  const { calls, listener } = shared;
  calls.add(call);
  return () => {
    calls.delete(call);
    if (calls.size > 0 || listeners.get(signal)?.calls !== calls) return;
    listeners.delete(signal);
    signal.removeEventListener('abort', listener);
  };
}
