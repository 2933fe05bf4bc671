package replay;

import java.util.concurrent.TimeUnit;

/** The only time that the engine sees; a wait is written down instead of slept. */
public final class Clock {
    public static long nowMs;
    public static long waitedNs;

    private Clock() {}

    public static long currentTimeMillis() { return nowMs; }

    public static long nanoTime() { return nowMs * 1_000_000L; }

    public static void sleep(long ms) { waitedNs += ms * 1_000_000L; }

    public static void sleep(TimeUnit unit, long time) { waitedNs += unit.toNanos(time); }

    public static void parkNanos(long ns) { waitedNs += ns; }
}
