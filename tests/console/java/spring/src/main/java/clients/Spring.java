package clients;

import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** A web application as teams have it: Sentinel by its starter, rules from ZooKeeper, heartbeats to the dashboard. */
@SpringBootApplication
@RestController
public class Spring {
  public static void main(String[] args) {
    SpringApplication.run(Spring.class, args);
  }

  @GetMapping("/hello")
  public String hello() {
    return "hello\n";
  }

  @GetMapping("/slow")
  public String slow(@RequestParam(defaultValue = "200") long ms) throws InterruptedException {
    Thread.sleep(ms);
    return "slow\n";
  }
}
