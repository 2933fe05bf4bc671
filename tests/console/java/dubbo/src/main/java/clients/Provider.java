package clients;

import com.alibaba.csp.sentinel.init.InitExecutor;
import java.util.Map;
import org.apache.dubbo.config.ApplicationConfig;
import org.apache.dubbo.config.ProtocolConfig;
import org.apache.dubbo.config.RegistryConfig;
import org.apache.dubbo.config.ServiceConfig;
import org.apache.dubbo.config.bootstrap.DubboBootstrap;

/** Arguments: the application's name, the port to serve at. Ends with its input. */
public final class Provider implements Greeting {
  public static void main(String[] args) throws Exception {
    InitExecutor.doInit();
    ServiceConfig<Greeting> service = new ServiceConfig<>();
    service.setInterface(Greeting.class);
    service.setRef(new Provider());
    ProtocolConfig protocol = new ProtocolConfig("dubbo", Integer.parseInt(args[1]));
    protocol.setHost("127.0.0.1");
    DubboBootstrap.getInstance().application(Provider.application(args[0])).registry(new RegistryConfig("N/A")).protocol(protocol).service(service).start();
    System.out.println("ready");
    while (System.in.read() >= 0) continue;
    System.exit(0);
  }

  static ApplicationConfig application(String name) {
    ApplicationConfig application = new ApplicationConfig(name);
    application.setQosEnable(false);
    application.setLogger("slf4j");
    application.setParameters(Map.of("metadata-type", "local"));
    return application;
  }

  @Override
  public String hello(String name) {
    return "hello " + name;
  }

  @Override
  public String fail(String name) {
    throw new IllegalStateException("asked to fail");
  }
}
