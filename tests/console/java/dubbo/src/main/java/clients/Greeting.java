package clients;

/** What the provider offers: the interface and each of its methods are resources. */
public interface Greeting {
  String hello(String name);

  String fail(String name);
}
