/** Signals that many commands listen to at a time. */

/** For each signal one listener calls all of these: a listener for each command would have Node warn of a leak. */
const listeners = new WeakMap<AbortSignal, { calls: Set<() => void>; listener: () => void }>();

/** Has `call` called when `signal` is aborted. What is returned ends that. */
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
