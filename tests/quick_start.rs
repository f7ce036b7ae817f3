//! The quick start, for real: as in the front page but for the one who stops it.

use std::error::Error;
use std::time::Duration;

use elara_core::NodeId;
use elara_runtime::{Node, NodeConfig};

#[tokio::test]
async fn the_quick_start_serves_until_it_is_told_to_stop() -> Result<(), Box<dyn Error>> {
    // Create node configuration
    let config = NodeConfig {
        node_id: NodeId::generate(),
        bind_addr: "0.0.0.0:0".parse()?,
        ..Default::default()
    };

    // Create and start node
    let mut node = Node::new(config).await?;
    assert_ne!(node.local_addr().port(), 0);

    let handle = node.handle();
    let stopper = tokio::spawn(async move {
        handle.running().await?;
        handle.shutdown(Duration::from_secs(20)).await
    });

    // Start event loop
    node.run().await?;

    stopper.await??;
    Ok(())
}
