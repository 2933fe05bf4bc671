package clients;

import com.alibaba.csp.sentinel.init.InitExecutor;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.dubbo.config.ReferenceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

/**
 * Arguments: the application's name, the provider's port. Each line of its input, "CALL method argument count", is answered by
 * "pass N block M KIND": KIND is the name of the exception by which Sentinel, here or at the provider, blocked the last call.
 */
public final class Consumer {
  private static final Pattern BLOCKED = Pattern.compile("SentinelBlockException: ?(\\w+)");

  public static void main(String[] args) throws Exception {
    InitExecutor.doInit();
    ReferenceConfig<Greeting> reference = new ReferenceConfig<>();
    reference.setInterface(Greeting.class);
    reference.setUrl("dubbo://127.0.0.1:" + args[1]);
    reference.setRetries(0);
    reference.setCheck(false);
    DubboBootstrap.getInstance().application(Provider.application(args[0])).reference(reference).start();
    Greeting greeting = reference.get();
    System.out.println("ready");
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, "UTF-8"));
    for (String line; (line = in.readLine()) != null; ) {
      String[] words = line.trim().split(" ");
      System.out.println(calls(greeting, words[1], words[2], Integer.parseInt(words[3])));
    }
    System.exit(0);
  }

  private static String calls(Greeting greeting, String method, String argument, int count) {
    int pass = 0;
    int block = 0;
    String kind = "-";
    for (int i = 0; i < count; i++) {
      try {
        if (method.equals("fail")) greeting.fail(argument);
        else greeting.hello(argument);
        pass++;
      } catch (RuntimeException thrown) {
        String blocked = blocked(thrown);
        if (blocked.isEmpty()) {
          pass++;  // it reached the method
          continue;
        }
        block++;
        kind = blocked;
      }
    }
    return "pass " + pass + " block " + block + " " + kind;
  }

  private static String blocked(Throwable thrown) {
    for (Throwable each = thrown; each != null; each = each.getCause()) {
      Matcher matcher = BLOCKED.matcher(String.valueOf(each));
      if (matcher.find()) return matcher.group(1);
    }
    if (!String.valueOf(thrown.getMessage()).contains("asked to fail")) thrown.printStackTrace();
    return "";
  }
}
