"""Step 3: the page, asked for from inside the mesh."""


def test_the_page_has_its_title(mesh):
    out = mesh.sh("""kubectl exec "$(kubectl get pod -l app=ratings -o jsonpath='{.items[0].metadata.name}')" -c ratings -- """
                  """curl -sS productpage:9080/productpage | grep -o "<title>.*</title>" """)
    assert out.strip() == "<title>Simple Bookstore App</title>"
