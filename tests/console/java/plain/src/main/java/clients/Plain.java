package clients;

import com.alibaba.csp.sentinel.Entry;
import com.alibaba.csp.sentinel.EntryType;
import com.alibaba.csp.sentinel.ResourceTypeConstants;
import com.alibaba.csp.sentinel.SphU;
import com.alibaba.csp.sentinel.Tracer;
import com.alibaba.csp.sentinel.context.ContextUtil;
import com.alibaba.csp.sentinel.init.InitExecutor;
import com.alibaba.csp.sentinel.slots.block.BlockException;
import java.io.BufferedReader;
import java.io.InputStreamReader;

/**
 * A program with Sentinel and nothing else. Each line of its input is a number of calls:
 *   CALL resource origin argument count      calls that succeed; "-": no origin, no argument
 *   FAIL resource origin argument count      calls that end with an exception
 *   SLOW resource origin argument count ms   calls that take their time
 * and is answered by "pass N block M KIND": KIND is the exception of the last call that was blocked, or "-".
 */
public final class Plain {
  public static void main(String[] args) throws Exception {
    InitExecutor.doInit();
    System.out.println("ready");
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
    for (String line; (line = in.readLine()) != null; ) {
      String[] words = line.trim().split(" ");
      System.out.println(calls(words[0], words[1], words[2], words[3], Integer.parseInt(words[4]), words.length > 5 ? Long.parseLong(words[5]) : 0));
    }
  }

  private static String calls(String how, String resource, String origin, String argument, int count, long ms) throws InterruptedException {
    int pass = 0;
    int block = 0;
    String kind = "-";
    for (int i = 0; i < count; i++) {
      ContextUtil.enter("plain_context", origin.equals("-") ? "" : origin);
      Object[] arguments = argument.equals("-") ? new Object[0] : new Object[] {argument};
      Entry entry = null;
      try {
        entry = SphU.entry(resource, ResourceTypeConstants.COMMON, EntryType.IN, arguments);
        pass++;
        if (ms > 0) Thread.sleep(ms);
        if (how.equals("FAIL")) Tracer.traceEntry(new IllegalStateException("asked to fail"), entry);
      } catch (BlockException blocked) {
        block++;
        kind = blocked.getClass().getSimpleName();
      } finally {
        if (entry != null) entry.exit(1, arguments);
        ContextUtil.exit();
      }
    }
    return "pass " + pass + " block " + block + " " + kind;
  }
}
